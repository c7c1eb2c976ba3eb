package ai

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	markdownLink = regexp.MustCompile(`!?\[([^\]\n]*)\]\([^)\n]*\)`)
	address      = regexp.MustCompile(`(?i)\b(?:[a-z][a-z0-9+.-]*://|mailto:|javascript:|vbscript:|data:[a-z]+/|www\.)[^\s<>"'` + "`" + `)\]]*`)
	// An address without its scheme, as in src="//host.example/pixel.png".
	bareAddress = regexp.MustCompile(`(^|[\s"'(=])//[\w-]+\.[\w.-]+[^\s<>"')\]]*`)
)

// Plain makes text of unknown origin safe to show: links and images lose their targets, so that
// nothing is fetched or clicked that an alert or a model has chosen, and characters that people
// do not see are dropped. Markup is left as text: escaping belongs to whoever shows it.
func Plain(s string) string { return strings.TrimSpace(plain(s)) }

func plain(s string) string {
	s = visible(s)
	s = markdownLink.ReplaceAllString(s, "$1")
	s = address.ReplaceAllString(s, "[link removed]")
	return bareAddress.ReplaceAllString(s, "${1}[link removed]")
}

// visible drops control, format and variation characters: what could hide text from a reader, or
// an instruction to a model from everybody else.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
