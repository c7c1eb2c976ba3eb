package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail/smtp"

	"penstock/drivers/notify"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// conversationLimit bounds what the server may say in one conversation, in bytes.
const conversationLimit = 256 << 10

// deliver speaks SMTP once. The context ends the conversation at any point.
func (d *driver) deliver(ctx context.Context, l letter, to []*mail.Address) (notify.Receipt, error) {
	server := net.JoinHostPort(d.config.Host, strconv.Itoa(d.config.Port))
	conn, err := d.deps.Dial(ctx, "tcp", server)
	if err != nil {
		return notify.Receipt{}, outbound.Classify(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	receipt, err := d.converse(conn, l, to)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // what was seen on the closed connection is only its consequence
	}
	if _, marked := errors.AsType[*fault.Error](err); !marked {
		err = outbound.Classify(err)
	}
	return receipt, err
}

func (d *driver) converse(conn net.Conn, l letter, to []*mail.Address) (notify.Receipt, error) {
	security := &tls.Config{ServerName: d.config.Host, RootCAs: d.deps.RootCAs}
	conn = &bounded{Conn: conn, left: conversationLimit}
	if d.config.TLS == "tls" {
		conn = tls.Client(conn, security)
	}
	c, err := smtp.NewClient(conn, d.config.Host)
	if err != nil {
		return d.answered(err, "the connection")
	}
	if err := c.Hello(domainOf(d.from)); err != nil {
		return d.answered(err, "the greeting")
	}
	if d.config.TLS == "starttls" {
		if offered, _ := c.Extension("STARTTLS"); !offered {
			return notify.Receipt{}, fault.New(fault.Unprocessable, "The SMTP server does not offer STARTTLS, so nothing was sent. Check host and port, or change the setting tls.")
		}
		if err := c.StartTLS(security); err != nil {
			return d.answered(err, "encryption")
		}
	}
	if d.config.Username != "" {
		auth, err := d.auth(c)
		if err != nil {
			return notify.Receipt{}, err
		}
		if err := c.Auth(auth); err != nil {
			return d.answered(err, "the user name or password")
		}
	}
	receipt, err := d.transmit(c, l, to)
	_, _ = c.Text.Cmd("QUIT") // the message is accepted or not by now; no goodbye is waited for
	return receipt, err
}

// transmit sends one message in an open conversation.
func (d *driver) transmit(c *smtp.Client, l letter, to []*mail.Address) (notify.Receipt, error) {
	c.SkipSMTPUTF8(!slices.ContainsFunc(append([]*mail.Address{d.from}, to...), func(a *mail.Address) bool { return !ascii(a.Address) }))
	if err := c.Mail(path(d.from)); err != nil {
		return d.answered(err, "the sender "+d.from.Address)
	}
	var refused []string
	var last notify.Receipt
	for _, recipient := range to {
		err := c.Rcpt(path(recipient))
		if err == nil {
			continue
		}
		receipt, err := d.answered(err, "the recipient "+recipient.Address)
		if !final(err) {
			return receipt, err
		}
		refused, last = append(refused, recipient.Address), receipt
	}
	if len(refused) == len(to) {
		return last, fault.New(fault.Unprocessable, "The SMTP server refused every recipient (%d): %s", last.Status, notify.Cut(last.Response, 300))
	}
	data, err := c.Data()
	if err != nil {
		return d.answered(err, "the message")
	}
	if _, err := data.Write(l.raw); err != nil {
		return notify.Receipt{}, err
	}
	if err := data.Close(); err != nil {
		receipt, err := d.answered(err, "the message")
		if final(err) && receipt.Status != 0 && !errors.Is(err, notify.ErrCredentials) {
			err = fault.Wrap(notify.ErrRefused, fault.Unprocessable, "%s", fault.Of(err).Message)
		}
		return receipt, err
	}
	receipt := notify.Receipt{Status: 250, MessageID: l.id}
	if closer, ok := data.(*smtp.DataCloser); ok {
		receipt.Response = notify.Excerpt([]byte(closer.ServerResponse()), d.config.Password)
		if found := queueID.FindStringSubmatch(receipt.Response); found != nil {
			receipt.MessageID = found[1]
		}
	}
	if len(refused) > 0 {
		return receipt, fault.New(fault.Unprocessable, "The message was sent, but the SMTP server refused these recipients: %s (%d: %s). Remove or correct them.",
			strings.Join(refused, ", "), last.Status, notify.Cut(last.Response, 300))
	}
	return receipt, nil
}

// queueID is how most servers name the message they have taken ("2.0.0 Ok: queued as 4Xyz").
var queueID = regexp.MustCompile(`(?i)queued (?:mail for delivery|as|id)[ =:]+<?([A-Za-z0-9._-]+)`)

func final(err error) bool {
	_, retry := fault.Retryable(err)
	return !retry && err != nil
}

// answered turns an error of the conversation into what the user may read. 4xx answers may pass,
// 5xx are final; anything but an answer is a broken connection, left for the caller to classify.
func (d *driver) answered(err error, what string) (notify.Receipt, error) {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return notify.Receipt{}, fmt.Errorf("smtp, %s: %w", what, err)
	}
	receipt := notify.Receipt{Status: reply.Code, Response: notify.Excerpt([]byte(reply.Msg), d.config.Password)}
	said := notify.Cut(notify.OneLine(receipt.Response), 300)
	if reply.Code == 535 {
		return receipt, fault.Wrap(notify.ErrCredentials, fault.Unprocessable, "The SMTP server refused %s (%d): %s", what, reply.Code, said)
	}
	if reply.Code >= 500 {
		return receipt, fault.New(fault.Unprocessable, "The SMTP server refused %s (%d): %s", what, reply.Code, said)
	}
	return receipt, fault.Retry(fault.New(fault.Unavailable, "The SMTP server does not take %s now (%d): %s", what, reply.Code, said), 0)
}

// auth chooses how to log in. The connection is encrypted by now, so the plain ways are safe.
func (d *driver) auth(c *smtp.Client) (smtp.Auth, error) {
	user, password := d.config.Username, d.config.Password.Reveal()
	_, offered := c.Extension("AUTH")
	for method := range strings.FieldsSeq(strings.ToUpper(offered)) {
		switch method {
		case "PLAIN":
			return smtp.PlainAuth("", user, password, d.config.Host, false), nil
		case "LOGIN":
			return smtp.LoginAuth(user, password, d.config.Host, false), nil
		case "CRAM-MD5":
			return smtp.CRAMMD5Auth(user, password), nil
		}
	}
	return nil, fault.New(fault.Unprocessable, "The SMTP server offers no way to log in that Penstock knows (PLAIN, LOGIN, CRAM-MD5). Remove username and password if it wants none.")
}

// bounded is a connection whose peer cannot talk without end.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// path is the address as SMTP commands want it: without the name, quoted where it must be.
func path(a *mail.Address) string { return (&mail.Address{Address: a.Address}).String() }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
