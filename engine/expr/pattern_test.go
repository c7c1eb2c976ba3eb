package expr

import (
	"regexp/syntax"
	"testing"
)

// TestLeastSize compares what is refused without being compiled with what is compiled.
func TestLeastSize(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"", "a", "abc", "a|b|cd", "a*", "(ab)+c?", "[a-z]{3}", "a{490}", "a{0}", "(abc){0,2}", "x{2,}", "^(?:a|bc){3,5}$", `\bword\b`, "(a{20}){20}", ".*", "(?i)disk", "((a))",
	} {
		parsed, err := syntax.Parse(source, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		least := leastSize(parsed)
		if _, size, err := pattern(source); err != nil || size < least {
			t.Errorf("%q has %d instructions (%v), not at least %d", source, size, err, least)
		}
	}
	if re, size, err := pattern("(a{1,100}){1,10}(a{1,100}){1,10}"); re != nil || size <= maxRegexp || err != nil {
		t.Errorf("%v, %d, %v", re, size, err)
	}
}
