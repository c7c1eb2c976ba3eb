package alerts

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// limit cuts a to the documented sizes and notes every cut. It runs last: identity is made from the whole.
func (b *Builder) limit(path string, a *Alert) {
	shorten := func(what, text string, most int) string {
		if len(text) > most {
			b.Note(path, "%s is cut to %d bytes", what, most)
		}
		return cut(text, most)
	}
	a.Name = shorten("the name", a.Name, MaxName)
	a.Host = shorten("the host", a.Host, MaxName)
	a.SeverityText = shorten("the severity", a.SeverityText, MaxName)
	a.Summary = shorten("the summary", a.Summary, MaxLabel)
	a.Description = shorten("the description", a.Description, MaxAnnotations)

	labels := map[string]string{}
	for _, key := range b.keys(path, "label", a.Labels, append([]string{"alertname", "severity"}, hostLabels...)) {
		if len(labels) == MaxLabels {
			b.Note(path, "has %d labels; %d are kept", len(a.Labels), MaxLabels)
			break
		}
		labels[key] = shorten("the label "+key, a.Labels[key], MaxLabel)
	}
	a.Labels = labels

	annotations, room := map[string]string{}, MaxAnnotations
	for _, key := range b.keys(path, "annotation", a.Annotations, []string{"summary", "title", "description", "message", "runbook_url"}) {
		if room -= len(key); room <= 0 {
			b.Note(path, "has more than %d bytes of annotations; %d of %d are kept", MaxAnnotations, len(annotations), len(a.Annotations))
			break
		}
		annotations[key] = shorten("the annotation "+key, a.Annotations[key], room)
		room -= len(annotations[key])
	}
	a.Annotations = annotations
}

// keys lists the keys of texts, the important ones first, so that a cut takes the same and the least
// important ones every time. A key that is too long is left out.
func (b *Builder) keys(path, what string, texts map[string]string, important []string) []string {
	rank := func(key string) int {
		if i := slices.Index(important, key); i >= 0 {
			return i
		}
		return len(important)
	}
	keys := slices.SortedFunc(maps.Keys(texts), func(x, y string) int {
		if d := rank(x) - rank(y); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	return slices.DeleteFunc(keys, func(key string) bool {
		if len(key) > MaxName {
			b.Note(path, "the key of the %s %s is longer than %d bytes; left out", what, cut(key, 40), MaxName)
		}
		return len(key) > MaxName
	})
}

// cut shortens text to most bytes without breaking a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const dots = "…"
	if most < len(dots) {
		return ""
	}
	end := most - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}

// oneLine replaces line breaks and runs of spaces by one space.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
