package alerts

import (
	"maps"
	"slices"
	"time"

	"penstock/drivers"
)

// Element reads one alert as Prometheus' Alertmanager writes it; Grafana and others copied the format.
// group is the status of an element that has none. ok is false for a malformed element, which has
// become a note.
func (b *Builder) Element(path string, value any, group Status) (a Alert, ok bool) {
	fields, ok := value.(map[string]any)
	if !ok {
		b.Note(path, "is not an object; skipped")
		return Alert{}, false
	}
	if a.Labels, ok = b.Texts(path+"/labels", fields["labels"]); !ok {
		b.Note(path, "has labels that are not an object; skipped")
		return Alert{}, false
	}
	if a.Annotations, ok = b.Texts(path+"/annotations", fields["annotations"]); !ok {
		b.Note(path, "has annotations that are not an object; left out")
	}
	a.Status = b.Status(path+"/status", fields["status"], group)
	a.Fingerprint = b.First(path, fields, "fingerprint")
	a.URL = b.First(path, fields, "generatorURL")
	a.StartsAt = b.FirstTime(path, fields, "startsAt")
	if end := b.FirstTime(path, fields, "endsAt"); !end.IsZero() {
		a.EndsAt = &end
	}
	return a, true
}

// Texts reads an object of texts; numbers and booleans become text, null is left out, everything else is
// left out with a note. ok is false if value is neither an object nor null; texts is never nil.
func (b *Builder) Texts(path string, value any) (texts map[string]string, ok bool) {
	texts = map[string]string{}
	object, ok := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if text, ok := Text(object[key]); !ok {
			b.Note(path+drivers.Pointer(key), "is not text; left out")
		} else if object[key] != nil {
			texts[key] = text
		}
	}
	return texts, ok || value == nil
}

// Status reads a status; without one it is otherwise. An unknown one is read as firing, with a note.
func (b *Builder) Status(path string, value any, otherwise Status) Status {
	text, ok := Text(value)
	if ok && text == "" {
		return otherwise
	}
	status, known := ParseStatus(text)
	if !known {
		b.Note(path, "the status %q is not known; read as firing", cut(text, 40))
	}
	return status
}

// First returns the first of the keys in fields that holds text. What is neither text nor a number nor
// true or false becomes a note.
func (b *Builder) First(path string, fields map[string]any, keys ...string) string {
	for _, key := range keys {
		text, ok := Text(fields[key])
		if !ok {
			b.Note(path+drivers.Pointer(key), "is not text; left out")
		}
		if text != "" {
			return text
		}
	}
	return ""
}

// FirstTime returns the first of the keys in fields that holds a time as [Time] reads it. What is no
// time becomes a note.
func (b *Builder) FirstTime(path string, fields map[string]any, keys ...string) time.Time {
	for _, key := range keys {
		t, ok := Time(fields[key])
		if !ok {
			b.Note(path+drivers.Pointer(key), "is not a time (RFC 3339 or Unix seconds or milliseconds); left out")
		} else if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
