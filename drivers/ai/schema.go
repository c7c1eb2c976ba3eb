package ai

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"penstock/drivers"
)

// The bounds of an analysis. Lengths are in characters.
const (
	MaxSummary         = 500
	MaxDescription     = 4000
	MaxRecommendations = 8
	MaxTitle           = 200
	MaxDetail          = 1000 // description of one recommendation
	MaxLines           = 6    // actions, and evidence, of one recommendation
	MaxLine            = 400
	MaxResult          = 64 << 10 // bytes of the whole analysis as JSON
)

// Types and Priorities are the closed lists of Recommendation.Type and Recommendation.Priority,
// priorities from the most to the least urgent.
var (
	Types      = []string{"cpu", "memory", "disk", "process", "network", "service", "other"}
	Priorities = []string{"critical", "high", "medium", "low"}
)

// Schema is the closed JSON Schema of what an analyser answers: [Analysis] without model and usage.
var Schema = json.RawMessage(fmt.Sprintf(`{
  "type": "object", "additionalProperties": false, "required": ["summary", "description", "recommendations"],
  "properties": {
    "summary": {"type": "string", "description": "One sentence: what is wrong and where.", "maxLength": %d},
    "description": {"type": "string", "description": "What happened, the likely cause and the impact, in a few sentences.", "maxLength": %d},
    "recommendations": {"type": "array", "description": "What to do, the most urgent first. Empty if there is nothing to do.", "items": {
      "type": "object", "additionalProperties": false, "required": ["type", "priority", "title", "description", "actions", "evidence"],
      "properties": {
        "type": {"type": "string", "enum": %s},
        "priority": {"type": "string", "enum": %s},
        "title": {"type": "string", "description": "Names the host and the thing.", "maxLength": %d},
        "description": {"type": "string", "maxLength": %d},
        "actions": {"type": "array", "description": "Two to four concrete steps for the engineer on call.", "items": {"type": "string", "maxLength": %d}, "maxItems": %d},
        "evidence": {"type": "array", "description": "Labels and figures of the data this is concluded from.", "items": {"type": "string", "maxLength": %d}, "maxItems": %d}
      }
    }, "maxItems": %d}
  }
}`, MaxSummary, MaxDescription, list(Types), list(Priorities), MaxTitle, MaxDetail, MaxLine, MaxLines, MaxLine, MaxLines, MaxRecommendations))

// WireSchema is [Schema] without its lengths: the structured output of the vendors refuses them.
// Longer answers are cut instead.
var WireSchema = json.RawMessage(regexp.MustCompile(`, "max(Length|Items)": \d+`).ReplaceAll(Schema, nil))

var wire = drivers.Compile("analysis", WireSchema)

func list(words []string) string { return `["` + strings.Join(words, `", "`) + `"]` }

// Fit cuts an analysis to the bounds, with an ellipsis where text was cut, and makes absent lists
// empty ones.
func (a *Analysis) Fit() {
	a.Summary = cut(a.Summary, MaxSummary)
	a.Description = cut(a.Description, MaxDescription)
	a.Recommendations = append([]Recommendation{}, a.Recommendations[:min(len(a.Recommendations), MaxRecommendations)]...)
	for i := range a.Recommendations {
		r := &a.Recommendations[i]
		r.Title = cut(r.Title, MaxTitle)
		r.Description = cut(r.Description, MaxDetail)
		r.Actions = cutLines(r.Actions)
		r.Evidence = cutLines(r.Evidence)
	}
	for len(a.Recommendations) > 0 && size(a) > MaxResult { // only text in several bytes a character gets here
		a.Recommendations = a.Recommendations[:len(a.Recommendations)-1]
	}
}

func cutLines(lines []string) []string {
	out := make([]string, 0, MaxLines)
	for _, line := range lines[:min(len(lines), MaxLines)] {
		out = append(out, cut(line, MaxLine))
	}
	return out
}

func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:limit-1])) + "…"
}
