package email_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"penstock/drivers/notify/email"
	"penstock/drivers/notify/notifytest"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// rude starts a server that does as talk says, once.
func rude(t *testing.T, talk func(net.Conn)) (config string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := listener.Accept(); err == nil {
			talk(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	raw, _ := json.Marshal(map[string]any{"host": "127.0.0.1", "port": listener.Addr().(*net.TCPAddr).Port, "from": "a@example.com", "to": []string{"b@example.com"}})
	return string(raw)
}

func TestRudeServers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		talk  func(net.Conn)
		retry bool
		says  string
	}{
		{"another protocol", func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9 internal\r\n") }, true, "The target cannot be reached."},
		{"closes at once", func(net.Conn) {}, true, "The target cannot be reached."},
		{"a greeting without end", func(c net.Conn) {
			for line := strings.Repeat("x", 64<<10); ; {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		}, true, "The target cannot be reached."},
		{"too busy", func(c net.Conn) { _, _ = io.WriteString(c, "421 too busy\r\n") }, true, "421"},
		{"not for you", func(c net.Conn) { _, _ = io.WriteString(c, "554 go away\r\n") }, false, "554"},
		// What is sent in clear text together with the answer to STARTTLS must not be taken for
		// answers inside the encrypted conversation.
		{"answers injected before encryption", func(c net.Conn) {
			in := bufio.NewReader(c)
			_, _ = io.WriteString(c, "220 mx\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, "250-mx\r\n250 STARTTLS\r\n")
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, "220 go ahead\r\n250-mx\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued as X1\r\n")
			_, _ = in.ReadString(0x01)
		}, true, "The target cannot be reached."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			driver, err := email.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(rude(t, tt.talk)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err = driver.Send(ctx, notifytest.Message())
			if _, retry := fault.Retryable(err); err == nil || retry != tt.retry || !strings.Contains(fault.Of(err).Message, tt.says) {
				t.Errorf("%v (retry %v)", err, retry)
			}
			if strings.Contains(fault.Of(err).Message, "SSH") {
				t.Errorf("the banner is shown: %v", fault.Of(err).Message)
			}
			if ctx.Err() != nil {
				t.Error("it took until the context ended")
			}
		})
	}
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	for _, ending := range []error{context.Canceled, context.DeadlineExceeded} {
		t.Run(fmt.Sprint(ending), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if errors.Is(ending, context.Canceled) {
				ctx, cancel = context.WithCancel(t.Context())
			}
			defer cancel()
			config := rude(t, func(c net.Conn) {
				if errors.Is(ending, context.Canceled) {
					cancel()
				}
				_, _ = io.Copy(io.Discard, c) // until the client goes away
			})
			driver, err := email.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(config))
			if err != nil {
				t.Fatal(err)
			}
			_, err = driver.Send(ctx, notifytest.Message())
			if _, retry := fault.Retryable(err); !errors.Is(err, ending) || retry != errors.Is(ending, context.DeadlineExceeded) {
				t.Errorf("%v (retry %v)", err, retry)
			}
		})
	}
}

func TestBlockedServer(t *testing.T) {
	t.Parallel()
	guarded, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	deps := notifytest.Deps(t, nil)
	deps.Dial = guarded.DialContext
	server := notifytest.NewSMTP(t, notifytest.SMTPOptions{TLS: "none"})
	driver, err := email.Kind(deps).Build(t.Context(), json.RawMessage(config(server, map[string]any{"tls": "none"})))
	if err != nil {
		t.Fatal(err)
	}
	_, err = driver.Send(t.Context(), notifytest.Message())
	if _, retry := fault.Retryable(err); retry || fault.Of(err).Message != "The target is not allowed (blocked)." || server.Count() != 0 {
		t.Errorf("%v, %d mails", err, server.Count())
	}
}
