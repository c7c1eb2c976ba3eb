package slack

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"penstock/drivers/alerts"
	"penstock/drivers/notify"
)

// Slack's limits, and ours where Slack's would let one message fill the screen or exceed the limit
// of about 13,000 characters for all blocks together, which is enforced but not documented.
const (
	headerLimit   = 150  // Slack: 150
	sectionLimit  = 3000 // Slack: 3000
	sections      = 2    // of body text
	fieldLimit    = 200  // Slack: 2000
	fieldsPerPart = 10   // Slack: 10
	fields        = 20
	linkLimit     = 1000 // characters of one link
	linksLimit    = 2500 // characters of all links; Slack: 3000
	fallbackLimit = 500
)

type message struct {
	Channel     string       `json:"channel,omitempty"` // of an app; older webhooks may post elsewhere than configured
	TS          string       `json:"ts,omitempty"`      // of the message to edit
	Text        string       `json:"text"`              // what notifications and screen readers show
	Mrkdwn      bool         `json:"mrkdwn"`            // of Text
	Parse       string       `json:"parse"`
	LinkNames   bool         `json:"link_names"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	Color  string  `json:"color"`
	Blocks []block `json:"blocks"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"` // false: ":smile:" in an alert stays as it is
}

// compose lays the message out. Everything that comes from outside is in plain_text, escaped: it
// can neither format, nor link, nor call people.
func compose(m notify.Message) message {
	blocks := []block{{Type: "header", Text: plain(m.Headline(), headerLimit)}}
	blocks = append(blocks, factBlocks(m.Details())...)
	blocks = append(blocks, textBlocks(strings.TrimSpace(notify.Clean(m.Text)))...)
	if links := linkLine(m.SafeLinks()); links != "" {
		blocks = append(blocks, block{Type: "context", Elements: []text{{Type: "mrkdwn", Text: links}}})
	}
	return message{
		Channel: notify.OneLine(m.Channel), Text: fallback(m), Parse: "none",
		Attachments: []attachment{{Color: color(m), Blocks: blocks}},
	}
}

// fallback says in one line what the blocks say.
func fallback(m notify.Message) string {
	line := m.Summary()
	if m.Severity != "" {
		line += " (" + string(m.Severity) + ")"
	}
	return escape(line, fallbackLimit)
}

func factBlocks(facts []notify.Fact) []block {
	hidden := max(len(facts)-fields, 0)
	facts = facts[:len(facts)-hidden]
	var blocks []block
	for len(facts) > 0 {
		part := facts[:min(fieldsPerPart, len(facts))]
		facts = facts[len(part):]
		b := block{Type: "section"}
		for _, f := range part {
			b.Fields = append(b.Fields, *plain(f.Name+"\n"+f.Value, fieldLimit))
		}
		blocks = append(blocks, b)
	}
	if hidden > 0 {
		blocks = append(blocks, block{Type: "context", Elements: []text{*plain(fmt.Sprintf("… and %d more facts", hidden), fieldLimit)}})
	}
	return blocks
}

// textBlocks splits the body at line ends into as few sections as hold it; the last one is cut.
func textBlocks(body string) []block {
	var blocks []block
	for body != "" && len(blocks) < sections {
		rest := ""
		if end := fits(body, sectionLimit); end < len(body) && len(blocks) < sections-1 {
			if line := strings.LastIndexByte(body[:end], '\n'); line > 0 {
				end = line
			}
			body, rest = body[:end], strings.TrimPrefix(body[end:], "\n")
		}
		blocks = append(blocks, block{Type: "section", Text: plain(body, sectionLimit)})
		body = rest
	}
	return blocks
}

func linkLine(links []alerts.Link) string {
	var line strings.Builder
	for _, l := range links {
		// The bar separates address and text, so neither may hold one.
		address := strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20").Replace(l.URL)
		one := "<" + address + "|" + escape(strings.ReplaceAll(l.Text, "|", "¦"), fieldLimit) + ">"
		if len(one) > linkLimit || line.Len()+len(one) > linksLimit {
			continue
		}
		if line.Len() > 0 {
			line.WriteString("  ·  ")
		}
		line.WriteString(one)
	}
	return line.String()
}

func color(m notify.Message) string {
	if m.Resolved() {
		return "#2eb67d"
	}
	switch m.Severity {
	case alerts.Critical:
		return "#d00000"
	case alerts.Error:
		return "#e8590c"
	case alerts.Warning:
		return "#f2c744"
	}
	return "#2684ff"
}

func plain(s string, limit int) *text {
	return &text{Type: "plain_text", Text: escape(s, limit), Emoji: new(false)}
}

// escape replaces Slack's three control characters and cuts so that the result, as Slack counts
// it, is not longer than limit.
func escape(s string, limit int) string {
	if end := fits(s, limit); end < len(s) {
		s = s[:fits(s, limit-len([]rune(notify.CutNote)))] + notify.CutNote
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// fits returns how many bytes of s have at most limit characters (UTF-16, to be on the safe side)
// once they are escaped.
func fits(s string, limit int) int {
	for i, r := range s {
		switch r {
		case '&':
			limit -= 5
		case '<', '>':
			limit -= 4
		default:
			limit -= utf16.RuneLen(r)
		}
		if limit < 0 {
			return i
		}
	}
	return len(s)
}
