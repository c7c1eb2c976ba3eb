package views

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Page is what the frame around every page needs.
type Page struct {
	Title   string
	Section string // overview, incidents, runs, definitions, settings
	User    string
	Admin   bool   // the user may do everything
	Session bool   // the user can sign out; false for API tokens
	Flash   string // what the change that led here did, "" for nothing
	Theme   string // light, dark, or "" as the system says
}

// Fragment names a part of a page that HTMX asks for alone.
type Fragment string

const (
	ResultsFragment Fragment = "results" // of a list
	ChecksFragment  Fragment = "checks"  // of a draft definition
	PanelFragment   Fragment = "panel"   // of a run: the open stage
	CardFragment    Fragment = "card"    // of an incident: its state and actions
)

// Pager links to the pages before and after; empty addresses are not shown.
type Pager struct {
	Newer, Older string
	Looked       int // how many records, in thousands, the filters looked at before they gave up; 0: all
}

// Tab is a choice among lists.
type Tab struct {
	URL, Text string
	Count     int // -1: not counted
	Current   bool
}

// The lists of a section.
var (
	incidentSections = []Tab{{URL: "/admin/incidents", Text: "Incidents"}, {URL: "/admin/alerts", Text: "Alerts"}, {URL: "/admin/deliveries", Text: "Deliveries"}}
	runSections      = []Tab{{URL: "/admin/runs", Text: "Runs"}, {URL: "/admin/notifications", Text: "Notifications"}}
)

// Option of a select field.
type Option struct{ Value, Label string }

// mark is how a state looks: never by colour alone.
type mark struct{ tone, icon, text string }

var marks = map[string]mark{
	"pending":      {"calm", "circle-dashed", "Pending"},
	"running":      {"busy", "loader-circle", "Running"},
	"completed":    {"good", "circle-check", "Completed"},
	"succeeded":    {"good", "circle-check", "Succeeded"},
	"partial":      {"warn", "circle-alert", "Partial"},
	"failed":       {"bad", "circle-x", "Failed"},
	"cancelled":    {"calm", "ban", "Cancelled"},
	"retrying":     {"warn", "rotate-cw", "Retrying"},
	"skipped":      {"calm", "circle-slash", "Skipped"},
	"waiting":      {"calm", "circle-dashed", "Not started"},
	"open":         {"open", "circle-dot", "Open"},
	"acknowledged": {"held", "user-check", "Acknowledged"},
	"resolved":     {"good", "circle-check", "Resolved"},
	"closed":       {"calm", "archive", "Closed"},
	"firing":       {"bad", "flame", "Firing"},
	"critical":     {"bad", "octagon-alert", "Critical"},
	"error":        {"bad", "circle-x", "Error"},
	"warning":      {"warn", "triangle-alert", "Warning"},
	"info":         {"calm", "info", "Info"},
	"added":        {"good", "plus", "Added"},
	"changed":      {"warn", "pencil", "Changed"},
	"removed":      {"bad", "trash-2", "Removed"},
	"active":       {"good", "circle-check", "Active"},
	"inactive":     {"calm", "circle-minus", "Inactive"},
	"silent":       {"bad", "bell", "Silent"},
	"untested":     {"calm", "circle-dashed", "Not tested"},
	"passed":       {"good", "circle-check", "Test passed"},
	"revoked":      {"calm", "ban", "Revoked"},
	"failing":      {"bad", "send", "Failing"},
	"broken":       {"bad", "key-round", "Refuses our credentials"},
	"ready":        {"good", "circle-check", "Ready"},
	"incomplete":   {"calm", "circle-dashed", "Not set up"},

	// Of decisions and the definitions that were asked.
	"started":            {"good", "circle-play", "Started a pipeline"},
	"no_route":           {"warn", "unplug", "Matched nothing"},
	"repeat":             {"calm", "rotate-cw", "Nothing new"},
	"nothing_to_resolve": {"calm", "circle-slash", "Nothing to resolve"},
	"matched":            {"good", "circle-check", "Matched"},
	"named":              {"good", "circle-check", "Named by the sender"},
	"not_matched":        {"calm", "circle-minus", "Did not match"},
	"missing":            {"warn", "circle-alert", "A value is missing"},
	"not_on":             {"calm", "circle-minus", "Not for this change"},
	"gated":              {"calm", "circle-slash", "Nothing new for it"},
	"invalid":            {"bad", "circle-x", "Cannot run"},

	// Of deliveries and notifications.
	"accepted":  {"good", "circle-check", "Accepted"},
	"no_alerts": {"warn", "triangle-alert", "No alerts in it"},
	"rejected":  {"bad", "circle-x", "Refused"},
	"sent":      {"good", "send", "Sent"},
	"sending":   {"busy", "loader-circle", "Sending"},
	"dead":      {"bad", "ban", "Given up"},
	"unknown":   {"warn", "circle-alert", "Outcome unknown"},
	"expired":   {"calm", "alarm-clock", "Expired"},
}

func markOf(state string) mark {
	if m, ok := marks[state]; ok {
		return m
	}
	return mark{"calm", "circle-dot", state}
}

// Tones of log lines and notes.
const (
	ToneGood = "good"
	ToneWarn = "warn"
	ToneBad  = "bad"
	ToneCalm = "calm"
	ToneBusy = "busy"
)

var nodeIcons = map[string]string{
	"ingest": "inbox", "context": "gauge", "check": "stethoscope", "intelligence": "brain",
	"transform": "shuffle", "condition": "git-branch", "notify": "send", "pipeline": "workflow",
}

// NodeIcon is the icon of a node type.
func NodeIcon(nodeType string) string {
	if icon, ok := nodeIcons[nodeType]; ok {
		return icon
	}
	return "circle-dot"
}

func machine(t time.Time) string  { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
func absolute(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05") + " UTC" }
func clock(t time.Time) string    { return t.UTC().Format("15:04:05") }

// duration in the words that the script in assets/src/js/time.js uses too.
func duration(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return inTwo(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	}
	hours := int(d.Hours())
	switch days := hours / 24; {
	case days < 1:
		return inTwo(hours, "h", int(d.Minutes())%60, "min")
	case days < 365:
		return inTwo(days, "d", hours%24, "h")
	default:
		return count(days/365, "year", "years")
	}
}

// inTwo leaves a second unit of nothing out.
func inTwo(many int, unit string, rest int, small string) string {
	if rest == 0 {
		return fmt.Sprintf("%d %s", many, unit)
	}
	return fmt.Sprintf("%d %s %d %s", many, unit, rest, small)
}

// Duration is a duration as the pages write it.
func Duration(d time.Duration) string { return duration(d) }

// short is the beginning and the end of an id, enough to tell ids of one day apart.
func short(id string) string {
	r := []rune(id)
	if len(r) <= 13 {
		return id
	}
	return string(r[:4]) + "…" + string(r[len(r)-6:])
}

// RunTitle tells runs apart among the tabs of a browser.
func RunTitle(definition, id string) string { return definition + " " + short(id) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// DefinitionURL is the page of a definition.
func DefinitionURL(name string) string { return "/admin/definitions/" + url.PathEscape(name) }

// RunURL is the page of a run.
func RunURL(id string) string { return "/admin/runs/" + url.PathEscape(id) }

// IncidentURL is the page of an incident.
func IncidentURL(id string) string { return "/admin/incidents/" + url.PathEscape(id) }

// AlertURL is the page of an alert.
func AlertURL(id string) string { return "/admin/alerts/" + url.PathEscape(id) }

// DeliveryURL is the page of a delivery.
func DeliveryURL(id string) string { return "/admin/deliveries/" + url.PathEscape(id) }

// ChannelURL is the page of a channel.
func ChannelURL(name string) string { return "/admin/settings/channels/" + url.PathEscape(name) }

// SourceURL is the page of a source.
func SourceURL(name string) string { return "/admin/settings/sources/" + url.PathEscape(name) }

// UserURL begins the addresses of what is done with a user.
func UserURL(name string) string { return "/admin/settings/users/" + url.PathEscape(name) }

// safeLink returns the address if a person may follow it from text that strangers wrote: absolute,
// http or https, with a plain host name; else "" and it is shown as text.
func safeLink(raw string) string {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return ""
	}
	if !strings.HasPrefix(raw, "http://") && !strings.HasPrefix(raw, "https://") {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return ""
	}
	for _, r := range u.Host {
		if r > 0x7e { // look-alike letters; the browser shows such names as xn--…
			return ""
		}
	}
	return raw
}

// quotePattern is a pattern of a field that matches a definition's name and nothing else.
func quotePattern(text string) string {
	return strings.ReplaceAll(text, ".", `\.`)
}
