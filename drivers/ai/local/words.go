package local

import (
	"strings"
	"unicode"
)

// words splits text into lower-case words, also at the humps of CamelCase, padded with spaces so
// that whole words can be looked for: "HostOutOfMemory" becomes " host out of memory ".
func words(text string) string {
	var b strings.Builder
	b.WriteByte(' ')
	for token := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		for _, hump := range splitHumps([]rune(token)) {
			b.WriteString(strings.ToLower(hump) + " ")
		}
	}
	return b.String()
}

// splitHumps cuts before an upper-case letter that follows a lower-case one or a digit, and before
// the last of several upper-case letters: "CPULoad" is "CPU" and "Load".
func splitHumps(token []rune) []string {
	var humps []string
	from := 0
	for i := 1; i < len(token); i++ {
		starts := unicode.IsUpper(token[i]) &&
			(!unicode.IsUpper(token[i-1]) || i+1 < len(token) && unicode.IsLower(token[i+1]))
		if starts {
			humps = append(humps, string(token[from:i]))
			from = i
		}
	}
	return append(humps, string(token[from:]))
}

// match returns the first phrase that occurs in text as whole words.
func match(text string, phrases []string) (string, bool) {
	for _, phrase := range phrases {
		if strings.Contains(text, " "+phrase+" ") {
			return phrase, true
		}
	}
	return "", false
}
