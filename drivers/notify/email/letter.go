package email

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"penstock/drivers/alerts"
	"penstock/drivers/notify"
)

const (
	subjectLimit = 200       // longer ones are cut by mail programs without a note
	textLimit    = 100 << 10 // Gmail clips what is longer
)

// letter is a composed message.
type letter struct {
	raw        []byte
	id, thread string // Message-ID of this message and of the (never sent) root of its thread
}

//go:embed letter.html.tmpl
var htmlSource string

var htmlTemplate = template.Must(template.New("letter").Parse(htmlSource))

// compose writes the same bytes for the same message, time apart: a repeated attempt has the
// Message-ID of the first, by which receivers recognise it.
func compose(m notify.Message, from *mail.Address, to []*mail.Address, now time.Time) (letter, error) {
	domain := domainOf(from)
	l := letter{id: hash("message", m.Key) + "@" + domain, thread: hash("thread", m.DedupKey) + "@" + domain}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.ToMailAddress(to...)
	msg.Subject(notify.Cut(subject(m), subjectLimit))
	msg.SetDateWithValue(now.UTC())
	msg.SetMessageIDWithValue(l.id)
	if m.DedupKey != "" {
		msg.SetGenHeader(gomail.HeaderInReplyTo, "<"+l.thread+">")
		msg.SetGenHeader(gomail.HeaderReferences, "<"+l.thread+">")
	}
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday replies
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	if m.Severity == alerts.Critical && !m.Resolved() {
		msg.SetImportance(gomail.ImportanceHigh)
	}

	view := view{
		Title: m.Headline(), Color: color(m), Facts: m.Details(), Links: m.SafeLinks(),
		Text: strings.TrimSpace(notify.Cut(notify.Clean(m.Text), textLimit)),
	}
	var html bytes.Buffer
	if err := htmlTemplate.Execute(&html, view); err != nil {
		return letter{}, fmt.Errorf("compose html: %w", err)
	}
	// The boundary depends on everything that it must not occur in.
	msg.SetBoundary(hash("boundary", view.plain()+html.String()))
	msg.SetBodyString(gomail.TypeTextPlain, view.plain())
	msg.AddAlternativeString(gomail.TypeTextHTML, html.String())
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return letter{}, fmt.Errorf("compose mail: %w", err)
	}
	l.raw = raw.Bytes()
	return l, nil
}

// subject begins with how bad it is, or that it is over.
func subject(m notify.Message) string {
	if m.Severity == "" || m.Resolved() {
		return m.Summary()
	}
	return "[" + strings.ToUpper(string(m.Severity)) + "] " + m.Summary()
}

type view struct {
	Title, Text, Color string
	Facts              []notify.Fact
	Links              []alerts.Link
}

func (v view) plain() string {
	var b strings.Builder
	b.WriteString(v.Title + "\n\n")
	for _, f := range v.Facts {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	if v.Text != "" {
		b.WriteString("\n" + v.Text + "\n")
	}
	if len(v.Links) > 0 {
		b.WriteByte('\n')
	}
	for _, l := range v.Links {
		fmt.Fprintf(&b, "%s: %s\n", l.Text, l.URL)
	}
	return b.String()
}

func color(m notify.Message) string {
	if m.Resolved() {
		return "#1a7f4b"
	}
	switch m.Severity {
	case alerts.Critical:
		return "#b00020"
	case alerts.Error:
		return "#c2410c"
	case alerts.Warning:
		return "#a16207"
	}
	return "#1d4ed8"
}

func hash(kind, text string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + text))
	return hex.EncodeToString(sum[:20])
}

func domainOf(a *mail.Address) string {
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
}
