package nodes

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"penstock/drivers/alerts"
	"penstock/engine"
)

// alerts says what each check means for its alert: firing, or resolved if one fires. A check that
// could not be made changes nothing.
func (n checkNode) alerts(in engine.Input, results []checked) []alerts.Alert {
	var list []alerts.Alert
	for i, r := range results {
		a := alerts.Alert{
			Fingerprint: checkFingerprint(in.Run.Definition, in.NodeID, r.name),
			Name:        "Check " + r.name, Host: r.host, Status: alerts.Firing, SeverityText: r.status, Summary: r.message,
			Labels: map[string]string{
				"alertname": "Check " + r.name, "check": r.name, "check_type": n.Checks[i].Type,
				"definition": in.Run.Definition, "node": in.NodeID, "host": r.host, "severity": r.status,
			},
		}
		switch r.status {
		case checkCritical:
			a.Severity = alerts.Critical
		case checkWarning:
			a.Severity = alerts.Warning
		case checkOK:
			a.Status, a.Severity = alerts.Resolved, alerts.Info
		default:
			continue
		}
		list = append(list, a)
	}
	return list
}

// checkFingerprint is the identity of a check: where it is written, not what it found.
func checkFingerprint(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
