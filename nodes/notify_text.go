package nodes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/drivers/ai"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/expr"
)

const (
	maxValue  = 8 << 10 // characters of one transformed value
	maxAlerts = 10      // written out in a message
	maxLabels = 12      // of one alert
)

// analysisText says what an analyser found, and who it was. Why one failed is not for receivers.
func analysisText(u engine.UpstreamResult) (string, []ai.Recommendation) {
	provider := str(u.Output, "provider")
	if provider == "" {
		return fmt.Sprintf("There is no analysis: %s failed.", u.NodeID), nil
	}
	by := "local rules"
	if unverified(u) {
		by = provider
		if model := str(u.Output, "model"); model != "" {
			by += " (" + model + ")"
		}
	}
	head := "Analysis by " + by
	if u.Output["fallback_used"] == true {
		head += ", in place of an analyser that did not answer"
	}
	if unverified(u) {
		head += " – " + unverifiedLabel
	}
	list := recommendations(u.Output["recommendations"])
	lines := []string{head + ":", str(u.Output, "summary")}
	// What rules looked at is worth reading if they found nothing; the rest is in the evidence.
	if description := str(u.Output, "description"); unverified(u) || len(list) == 0 {
		lines = append(lines, description)
	}
	return paragraph(append(lines, recommendationLines(list)...)), list
}

// transformText is a transformed value as people write it.
func transformText(u engine.UpstreamResult) (string, []ai.Recommendation) {
	value := u.Output["transformed"]
	list := recommendations(value)
	lines := recommendationLines(list)
	switch many, isList := value.([]any); {
	case value == nil:
		lines = []string{u.NodeID + " found nothing."}
	case isList && len(many) == 0:
		lines = []string{"Nothing passes the filter of " + u.NodeID + "."}
	case list == nil:
		lines = []string{valueText(value)}
	}
	if unverified(u) {
		lines = append([]string{fmt.Sprintf("From %s – %s:", u.NodeID, unverifiedLabel)}, lines...)
	}
	return paragraph(lines), list
}

// recommendations reads one recommendation, or a list of nothing else; nil if v is neither.
func recommendations(v any) []ai.Recommendation {
	if _, one := v.(map[string]any); one {
		v = []any{v}
	}
	raw, err := json.Marshal(v)
	var list []ai.Recommendation
	if err != nil || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	for _, r := range list {
		if r.Title == "" || r.Priority == "" {
			return nil
		}
	}
	return list
}

func recommendationLines(list []ai.Recommendation) []string {
	var lines []string
	for i, r := range list {
		lines = append(lines, fmt.Sprintf("%d. [%s] %s", i+1, r.Priority, notify.OneLine(r.Title)))
		if r.Description != "" {
			lines = append(lines, "   "+notify.OneLine(r.Description))
		}
		for _, action := range r.Actions {
			lines = append(lines, "   - "+notify.OneLine(action))
		}
		if len(r.Evidence) > 0 {
			lines = append(lines, "   Evidence: "+notify.OneLine(strings.Join(r.Evidence, "; ")))
		}
	}
	return lines
}

// incidentText says what is wrong, where, how bad and since when, then what each alert says.
func incidentText(inc map[string]any, list []map[string]any) string {
	title := str(inc, "title")
	if host := str(inc, "host"); host != "" && !strings.Contains(title, host) {
		title += " on " + host
	}
	state := str(inc, "severity") + ", firing" + since(str(inc, "started_at"))
	if str(inc, "status") == "resolved" {
		state = fmt.Sprintf("resolved %s, was %s%s", moment(str(inc, "resolved_at")), str(inc, "severity"), since(str(inc, "started_at")))
	}
	lines := []string{fmt.Sprintf("%s: %s.", notify.OneLine(title), state)}
	for i, a := range list {
		if i == maxAlerts {
			lines = append(lines, fmt.Sprintf("… and %d more alerts", len(list)-maxAlerts))
			break
		}
		lines = append(lines, alertLines(a, len(list) > 1)...)
	}
	return paragraph(lines)
}

// alertLines is what one alert says of itself; named says which one, where there are several.
func alertLines(a map[string]any, named bool) []string {
	var lines []string
	if named {
		line := "- " + notify.OneLine(str(a, "name"))
		if host := str(a, "host"); host != "" {
			line += " on " + notify.OneLine(host)
		}
		lines = append(lines, fmt.Sprintf("%s: %s, %s%s", line, str(a, "severity"), str(a, "status"), since(str(a, "starts_at"))))
	}
	indent := ""
	if named {
		indent = "  "
	}
	for _, key := range []string{"summary", "description"} {
		if text := strings.TrimSpace(str(a, key)); text != "" {
			lines = append(lines, indent+strings.ReplaceAll(text, "\n", "\n"+indent))
		}
	}
	if labels, _ := a["labels"].(map[string]any); len(labels) > 0 {
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			if key != "alertname" && key != "severity" && len(pairs) < maxLabels {
				pairs = append(pairs, key+"="+expr.Text(labels[key]))
			}
		}
		if len(pairs) > 0 {
			lines = append(lines, indent+"Labels: "+notify.OneLine(words(pairs)))
		}
	}
	return lines
}

func since(stamp string) string {
	if at := moment(stamp); at != "" {
		return " since " + at
	}
	return ""
}

func moment(stamp string) string {
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

// valueText writes plain data with one line per value.
func valueText(v any) string {
	var lines []string
	var write func(indent, name string, v any)
	write = func(indent, name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if name != "" {
				lines, indent = append(lines, indent+name), indent+"  "
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				write(indent, key+":", v[key])
			}
		case []any:
			if text := expr.Text(v); len(v) == 0 || text[0] != '[' { // nothing nested
				lines = append(lines, strings.TrimSpace(indent+name+" "+text))
				return
			}
			if name != "" {
				lines, indent = append(lines, indent+name), indent+"  "
			}
			for _, item := range v {
				write(indent, "-", item)
			}
		case nil:
			lines = append(lines, indent+strings.TrimSpace(name+" –"))
		default:
			lines = append(lines, indent+strings.TrimSpace(name+" "+expr.Text(v)))
		}
	}
	write("", "", v)
	return notify.Cut(strings.Join(lines, "\n"), maxValue)
}

// paragraph joins lines and leaves empty ones out.
func paragraph(lines []string) string {
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" }), "\n")
}
