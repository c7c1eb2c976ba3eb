package alerts

import "strings"

// ParseSeverity reads the words that monitoring systems use; upper and lower case are the same.
// An empty or unknown text is Warning and false.
func ParseSeverity(text string) (Severity, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "critical", "crit", "page", "disaster", "fatal", "emergency", "emerg", "alert", "p0", "p1", "sev0", "sev1":
		return Critical, true
	case "error", "err", "high", "major", "average", "p2", "sev2":
		return Error, true
	case "warning", "warn", "minor", "medium", "moderate", "p3", "sev3":
		return Warning, true
	case "info", "information", "informational", "notice", "none", "low", "debug", "ok", "not classified", "p4", "p5", "sev4", "sev5":
		return Info, true
	default:
		return Warning, false
	}
}

// ParseStatus reads the words that monitoring systems use; upper and lower case are the same. Only a
// word that says the problem is over is Resolved: an acknowledged alert still fires. An unknown text is
// Firing and false.
func ParseStatus(text string) (Status, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "resolved", "resolve", "ok", "okay", "up", "recovered", "recovery", "normal", "closed", "close", "clear", "cleared",
		"inactive", "healthy", "fixed", "success", "passing":
		return Resolved, true
	case "firing", "fire", "alerting", "alert", "alarm", "active", "activated", "created", "open", "opened", "reopened", "problem",
		"trigger", "triggered", "re-triggered", "renotify", "escalated", "down", "failing", "failed", "fail", "failure", "unhealthy",
		"critical", "error", "warning", "warn", "nodata", "no data", "no_data", "pending",
		"acknowledge", "acknowledged", "ack", "acked", "unacknowledge", "unacknowledged":
		return Firing, true
	default:
		return Firing, false
	}
}
