package notifytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/mail"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTP is a mail server. Its usual answer is 250 with a queue id.
type SMTP struct {
	*Sink
	Host    string // 127.0.0.1
	Port    int
	RootCAs *x509.CertPool // verify its certificate, which is made at start

	options SMTPOptions
	server  *smtp.Server
}

// SMTPOptions say how the server behaves. The zero value offers STARTTLS and wants no password.
type SMTPOptions struct {
	TLS                string         // starttls (the default), tls, none
	Username, Password string         // set: required
	Refuse             map[string]int // code by recipient
}

// NewSMTP starts an SMTP server for the time of a test.
func NewSMTP(t testing.TB, o SMTPOptions) *SMTP {
	t.Helper()
	return forTest(t, func() (*SMTP, error) { return StartSMTP(o) })
}

// StartSMTP starts an SMTP server on a free port of 127.0.0.1. The caller closes it.
func StartSMTP(o SMTPOptions) (*SMTP, error) {
	certificate, roots, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start smtp server: %w", err)
	}
	s := &SMTP{Sink: newSink(), Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, RootCAs: roots, options: o}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{sink: s, conn: c}, nil }))
	s.server.Domain = "sink.test"
	s.server.MaxMessageBytes = 32 << 20
	s.server.ErrorLog = log.New(io.Discard, "", 0) // it reports every connection that breaks
	if o.TLS == "none" {
		s.server.AllowInsecureAuth = true
	} else {
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	if o.TLS == "tls" {
		listener = tls.NewListener(listener, s.server.TLSConfig)
	}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// Close ends the server and every conversation that hangs in it.
func (s *SMTP) Close() error {
	close(s.closed)
	return s.server.Close()
}

type session struct {
	sink    *SMTP
	conn    *smtp.Conn
	request Request
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.sink.options.Username != "" && s.request.Username == "" {
		return smtp.ErrAuthRequired
	}
	s.request.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if code := s.sink.options.Refuse[to]; code != 0 {
		return answer(code, "mailbox of "+to+" unavailable")
	}
	s.request.To = append(s.request.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.request.Body = body
	_, s.request.TLS = s.conn.TLSConnectionState()
	if m, err := mail.ReadMessage(bytes.NewReader(body)); err == nil {
		s.request.Header = http.Header(m.Header)
	}
	reply := s.sink.take(s.request)
	switch {
	case reply.Hang:
		<-s.sink.closed
		return answer(421, "closing")
	case reply.Cut:
		_ = s.conn.Conn().Close()
		return answer(421, "closing")
	case reply.Echo:
		return answer(max(reply.Status, 250), s.request.Username+" "+s.request.Password)
	case reply.Status != 0:
		return answer(reply.Status, reply.Body)
	}
	return answer(250, fmt.Sprintf("Ok: queued as Q%d", s.sink.Count()))
}

func (s *session) Reset() {
	s.request = Request{Username: s.request.Username, Password: s.request.Password}
}

func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string {
	if s.sink.options.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.sink.options.Username || password != s.sink.options.Password {
			return smtp.ErrAuthFailed
		}
		s.request.Username, s.request.Password = username, password
		return nil
	}), nil
}

func answer(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// selfSigned makes a certificate for 127.0.0.1 and the pool that trusts it.
func selfSigned() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"sink.test", "localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("read certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, nil
}
