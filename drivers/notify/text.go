package notify

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"penstock/drivers"
	"penstock/drivers/alerts"
)

// Headline is the title as one line, with what a reader must see first: that it is over.
func (m Message) Headline() string {
	title := OneLine(m.Title)
	if title == "" {
		title = OneLine(m.Source)
	}
	if title == "" {
		title = "Notification"
	}
	if m.Resolved() && !strings.HasPrefix(title, "[RESOLVED]") {
		title = "[RESOLVED] " + title
	}
	return Cut(title, 1024)
}

// Summary is the headline and the host it is about, for places that show nothing else.
func (m Message) Summary() string {
	headline := m.Headline()
	if host := Cut(OneLine(m.Host), 255); host != "" && !strings.Contains(headline, host) {
		return headline + " on " + host
	}
	return headline
}

// Resolved reports whether the message says that the problem is over.
func (m Message) Resolved() bool {
	return m.Action == Resolve || m.Status == string(alerts.Resolved)
}

// Details are the facts of the message as single lines, led by severity, host and since when
// they are known and not among the facts already.
func (m Message) Details() []Fact {
	all := []Fact{{"Severity", string(m.Severity)}, {"Host", m.Host}}
	if !m.Since.IsZero() {
		all = append(all, Fact{"Since", m.Since.UTC().Format("2006-01-02 15:04:05 UTC")})
	}
	all = slices.DeleteFunc(all, func(own Fact) bool {
		return slices.ContainsFunc(m.Facts, func(f Fact) bool { return strings.EqualFold(f.Name, own.Name) })
	})
	var details []Fact
	for _, f := range append(all, m.Facts...) {
		if f = (Fact{Cut(OneLine(f.Name), 100), Cut(OneLine(f.Value), 2000)}); f.Value != "" {
			details = append(details, f)
		}
	}
	return details
}

// SafeLinks are the http(s) links of the message, its own page first.
func (m Message) SafeLinks() []alerts.Link {
	all := m.Links
	if m.URL != "" {
		all = append([]alerts.Link{{Text: "Open in Penstock", URL: m.URL}}, all...)
	}
	var links []alerts.Link
	for _, l := range all {
		u, err := url.Parse(l.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || len(l.URL) > 4096 || strings.ContainsFunc(l.URL, unicode.IsControl) {
			continue
		}
		text := OneLine(l.Text)
		if text == "" {
			text = u.Host
		}
		links = append(links, alerts.Link{Text: text, URL: u.String()})
	}
	return links
}

// Clean makes text safe for terminals and documents: valid UTF-8, lines ended by \n, no control
// characters but newline and tab.
func Clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// OneLine is [Clean] for headers and titles: every kind of line break becomes a space.
func OneLine(text string) string {
	return strings.Join(strings.FieldsFunc(Clean(text), func(r rune) bool {
		return r == '\n' || r == '\t' || r == '\u2028' || r == '\u2029'
	}), " ")
}

// CutNote ends every text that was too long for its receiver.
const CutNote = "… [cut]"

// Cut shortens text to limit characters, the note that it was cut included.
func Cut(text string, limit int) string {
	if len(text) <= limit || utf8.RuneCountInString(text) <= limit {
		return text
	}
	keep := limit - utf8.RuneCountInString(CutNote)
	for i := range text {
		if keep == 0 {
			return text[:i] + CutNote
		}
		keep--
	}
	return text
}

// responseLimit is how much of an answer is kept, in bytes.
const responseLimit = 4 << 10

// Excerpt is what may be kept of an answer: 4 KiB of readable text, in which secrets that the
// receiver repeats are replaced before anything is cut.
func Excerpt(body []byte, secrets ...drivers.Secret) string {
	text := Redact(Clean(string(body)), secrets...)
	if len(text) > responseLimit {
		text = strings.ToValidUTF8(text[:responseLimit], "")
	}
	return text
}

// Redact replaces every secret in text, as it is and in the forms that encoders give it, and the
// parts of it that are secret alone: the token after "Bearer", the path segments of an address.
func Redact(text string, secrets ...drivers.Secret) string {
	var forms []string
	for _, s := range secrets {
		forms = append(forms, encodings(s.Reveal(), 4)...) // anything shorter is in every text
		for _, part := range parts(s.Reveal()) {
			forms = append(forms, encodings(part, 10)...) // a shorter part may be a common word
		}
	}
	// Longest first, so that no form is broken by one that it contains.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, f := range forms {
		text = strings.ReplaceAll(text, f, "[secret]")
	}
	return text
}

func parts(secret string) []string {
	u, err := url.Parse(secret)
	if err != nil || u.Host == "" {
		_, token, _ := strings.Cut(secret, " ")
		return []string{token}
	}
	all := append([]string{u.RequestURI()}, strings.Split(u.Path, "/")...)
	for _, values := range u.Query() {
		all = append(all, values...)
	}
	return all
}

// encodings are the ways in which secret may be written; none if it is shorter than least.
func encodings(secret string, least int) []string {
	if len(secret) < least {
		return nil
	}
	raw := []byte(secret)
	quoted, _ := json.Marshal(secret)
	unescaped, _ := EncodeJSON(secret)
	return []string{
		secret, strings.Trim(string(quoted), `"`), strings.Trim(string(unescaped), `"`), url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	}
}
