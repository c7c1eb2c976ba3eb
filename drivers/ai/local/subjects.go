package local

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"penstock/drivers/ai"
)

// subject is one alert as the rules see it. Its texts are one line each, without links.
type subject struct {
	name, host, summary, description string
	severity                         string
	priority                         int
	resolved                         bool
	runbook                          string
	labels                           map[string]string // and annotations that hold a figure

	class *class
	why   string // the evidence for class
}

// subjectsOf reads the alerts; without any, what the incident or the payload says of one.
func subjectsOf(req ai.Request) []subject {
	var list []subject
	for _, alert := range req.Alerts {
		list = append(list, subjectOf("alert", alert))
	}
	if len(list) > 0 {
		return list
	}
	if len(req.Incident) > 0 {
		return []subject{subjectOf("incident", req.Incident)}
	}
	payload, ok := req.Payload.(map[string]any)
	if !ok {
		return nil
	}
	s := subjectOf("payload", payload)
	if s.name == unnamed {
		return nil // nothing that looks like an alert
	}
	return []subject{s}
}

const unnamed = "An alert without a name"

func subjectOf(what string, data map[string]any) subject {
	labels, annotations := texts(data["labels"]), texts(data["annotations"])
	first := func(keys ...string) string {
		for _, key := range keys {
			for _, value := range []string{text(data[key]), labels[key], annotations[key]} {
				if value != "" {
					return value
				}
			}
		}
		return ""
	}
	s := subject{
		name:        cmp.Or(first("name", "alertname", "title", "message"), unnamed),
		host:        withoutPort(first("host", "hostname", "instance", "node")),
		summary:     first("summary", "message"),
		description: first("description", "details"),
		severity:    first("severity"),
		runbook:     runbookOf(data),
		labels:      labels,
	}
	if value := annotations["value"]; value != "" && labels["value"] == "" {
		labels["value"] = value
	}
	switch strings.ToLower(first("status", "state")) {
	case "resolved", "ok", "closed", "recovered":
		s.resolved = true
	}
	s.priority = slices.Index([]string{"critical", "error", "warning", "info"}, s.severity)
	if s.priority < 0 {
		s.priority = 2
	}
	s.classify(what)
	return s
}

// classify looks for a known problem: in the name, in labels that name one, then in the sentences.
func (s *subject) classify(what string) {
	type place struct{ name, text string }
	places := []place{{what + " name", s.name}}
	for _, key := range []string{"check", "check_name", "metric", "reason", "resource", "category"} {
		places = append(places, place{"label " + key, s.labels[key]})
	}
	places = append(places, place{"summary", s.summary}, place{"description", s.description})
	for _, p := range places {
		if c, phrase := classOf(p.text); c != nil {
			s.class, s.why = c, fmt.Sprintf("%s %q says %q", p.name, p.text, phrase)
			return
		}
	}
	s.why = fmt.Sprintf("%s %q", what, s.name)
}

// where is the host with the part of it that the alert is about.
func (s subject) where() string {
	for _, key := range []string{"mountpoint", "pod", "queue", "topic"} {
		part := s.labels[key]
		if key == "pod" && part != "" && s.labels["namespace"] != "" {
			part = s.labels["namespace"] + "/" + part
		}
		switch {
		case part == "" || part == s.host:
		case s.host == "":
			return part
		default:
			return s.host + " (" + part + ")"
		}
	}
	return s.host
}

// quoted lists what is known of the alert, for evidence.
func (s subject) quoted() []string {
	var lines []string
	if s.severity != "" {
		lines = append(lines, "severity "+s.severity)
	}
	for _, key := range []string{"value", "mountpoint", "device", "namespace", "pod", "container", "queue", "topic", "job", "service"} {
		if value := s.labels[key]; value != "" {
			lines = append(lines, fmt.Sprintf("label %s = %s", key, value))
		}
	}
	if s.summary != "" && s.summary != s.name && !strings.Contains(s.why, strconv.Quote(s.summary)) {
		lines = append(lines, fmt.Sprintf("summary %q", s.summary))
	}
	return lines
}

// fill puts the alert's names into an action. Only names that no shell can misread get in.
func (s subject) fill(action string) string {
	value := func(keys ...string) string {
		for _, key := range keys {
			if v := s.labels[key]; safeName.MatchString(v) {
				return v
			}
		}
		return ""
	}
	host := s.host
	if !safeName.MatchString(host) {
		host = ""
	}
	target := cmp.Or(value("target", "instance", "domain", "server_name"), host)
	if strings.Contains(action, "-connect") && target != "" && withoutPort(target) == target {
		target = net.JoinHostPort(target, "443")
	}
	return strings.NewReplacer(
		"{host}", cmp.Or(host, "<host>"), "{target}", cmp.Or(target, "<target>"),
		"{path}", cmp.Or(value("mountpoint", "path"), "<path>"),
		"{namespace}", cmp.Or(value("namespace"), "<namespace>"), "{pod}", cmp.Or(value("pod"), "<pod>"),
		"{service}", cmp.Or(value("service", "systemd_unit", "unit", "app"), "<service>"),
		"{queue}", cmp.Or(value("queue", "topic", "consumergroup"), "<queue>"),
	).Replace(action)
}

// safeName is a host, path or other name that may stand in a command: nothing a shell interprets,
// and no dash in front that would make it an option.
var safeName = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9._:/@-]{0,252}$`)

// alertFindings makes one finding per class, and one per name for alerts that no rule knows.
func alertFindings(firing []subject, m *machine) []finding {
	var order []string
	groups := map[string][]subject{}
	for _, s := range firing {
		key := "name " + s.name
		if s.class != nil {
			key = "class " + s.class.name
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], s)
	}
	var findings []finding
	for _, key := range order {
		group := groups[key]
		slices.SortStableFunc(group, func(a, b subject) int { return cmp.Compare(a.priority, b.priority) })
		findings = append(findings, findingOf(group, m))
	}
	return findings
}

func findingOf(group []subject, m *machine) finding {
	first := group[0]
	f := finding{kind: "other", priority: first.priority}
	if first.class != nil {
		f.kind = first.class.kind
		f.title = title(first.class.problem, group)
	} else {
		f.title = title(first.name+" fires", group)
		f.description = append(f.description, "No rule knows this alert; this is what it says of itself.")
	}
	if len(group) == 1 {
		f.description = append(f.description, places(group)+" fires.")
	} else {
		f.description = append(f.description, fmt.Sprintf("%d alerts fire: %s.", len(group), places(group)))
	}
	for _, sentence := range []string{first.summary, first.description} {
		if sentence != "" && sentence != first.name {
			f.description = append(f.description, ending(sentence))
		}
	}
	if first.class != nil {
		f.description = append(f.description, first.class.meaning)
	}
	f.evidence = append([]string{first.why}, first.quoted()...)
	for _, s := range group[1:] {
		f.evidence = append(f.evidence, s.why+" "+strings.TrimSpace("on "+cmp.Or(s.where(), "an unnamed host")))
	}
	if first.runbook != "" {
		f.actions = append(f.actions, "Follow the runbook: "+first.runbook)
	}
	switch {
	case first.class != nil:
		for _, action := range first.class.actions {
			f.actions = append(f.actions, first.fill(action))
		}
		if slices.ContainsFunc(group, func(s subject) bool { return m.is(s.host) }) {
			m.merge(&f, first.class) // figures of the very host that an alert is about belong to it
		}
	case first.host != "":
		f.actions = append(f.actions, first.fill("Look at {host}: uptime; systemctl --failed; journalctl -p err --since -30min"))
	case first.runbook == "":
		f.actions = append(f.actions, "Look at the system that sent the alert; give its rule a runbook_url annotation for the next time")
	}
	return f
}

// title names the problem and where it is.
func title(problem string, group []subject) string {
	var where []string
	for _, s := range group {
		if w := s.where(); w != "" && !slices.Contains(where, w) {
			where = append(where, w)
		}
	}
	if len(where) == 0 {
		return problem
	}
	return problem + " on " + some(where)
}

// places lists alerts with their hosts.
func places(group []subject) string {
	var names []string
	for _, s := range group {
		name := s.name
		if s.host != "" {
			name += " on " + s.host
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return some(names)
}

func ending(sentence string) string {
	if strings.HasSuffix(sentence, ".") || strings.HasSuffix(sentence, "!") {
		return sentence
	}
	return sentence + "."
}

func withoutPort(host string) string {
	name, port, err := net.SplitHostPort(host)
	if _, bad := strconv.Atoi(port); err != nil || bad != nil {
		return host
	}
	return name
}

// runbookOf returns the alert's runbook if it is a plain web address.
func runbookOf(data map[string]any) string {
	candidates := []any{data["runbook_url"]}
	switch annotations := data["annotations"].(type) {
	case map[string]any:
		candidates = append(candidates, annotations["runbook_url"], annotations["runbook"])
	case map[string]string:
		candidates = append(candidates, annotations["runbook_url"], annotations["runbook"])
	}
	if links, ok := data["links"].([]any); ok {
		for _, link := range links {
			if l, ok := link.(map[string]any); ok && strings.EqualFold(text(l["text"]), "runbook") {
				candidates = append(candidates, l["url"])
			}
		}
	}
	for _, c := range candidates {
		address, _ := c.(string)
		u, err := url.Parse(address)
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && len(u.String()) <= 300 {
			return u.String()
		}
	}
	return ""
}

// text reads a value as one clean line; anything but text and numbers is "". A web address that is
// the whole value becomes its host.
func text(v any) string {
	switch v := v.(type) {
	case string:
		if u, err := url.Parse(v); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			return u.Host
		}
		return strings.Join(strings.Fields(ai.Plain(v[:min(len(v), maxText)])), " ")
	case float64, int, int64, json.Number:
		return fmt.Sprint(v)
	}
	return ""
}

const maxText = 2000 // bytes of one text that the rules read

// texts reads labels or annotations, of whatever map type.
func texts(v any) map[string]string {
	out := map[string]string{}
	switch m := v.(type) {
	case map[string]any:
		for key, value := range m {
			out[key] = text(value)
		}
	case map[string]string:
		for key, value := range m {
			out[key] = text(value)
		}
	}
	return out
}
