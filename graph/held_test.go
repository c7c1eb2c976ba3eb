package graph

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// writes notes what each system call would carry.
type writes struct {
	net.Conn
	calls []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.calls = append(w.calls, string(p))
	return len(p), nil
}

func (*writes) SetWriteDeadline(time.Time) error { return nil }

func TestHeldConn(t *testing.T) {
	t.Parallel()
	out := &writes{}
	c := &heldConn{Conn: out}
	write := func(text string) {
		t.Helper()
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	write("a")
	c.hold(true)
	write("b")
	write("c")
	c.hold(false)
	write("d")
	c.hold(true)
	write("e")
	c.release()
	c.release()
	write("f")
	c.hold(true)
	write("g")
	long := string(bytes.Repeat([]byte("x"), heldLimit))
	write(long)
	if want := []string{"a", "bcd", "e", "f", "g" + long}; !slices.Equal(out.calls, want) {
		t.Errorf("%.100q", out.calls)
	}
}

func TestHeldConnOfDeafPeer(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe() // takes what is read, and no more
	c := &heldConn{Conn: ours, patience: 10 * time.Millisecond}
	c.hold(true)
	if _, err := c.Write([]byte("half a message")); err != nil {
		t.Fatal(err)
	}
	half := make([]byte, 4)
	go func() { _, _ = io.ReadFull(theirs, half) }()
	c.release()
	if rest, err := io.ReadAll(theirs); len(rest) > 0 || err != nil {
		t.Errorf("%q follows half a message, %v", rest, err)
	}
	if _, err := c.Write([]byte("another")); err == nil {
		t.Error("another message follows half a message")
	}
}
