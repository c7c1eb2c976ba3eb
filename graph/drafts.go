package graph

import (
	"encoding/json"
	"fmt"

	"penstock/db"
	"penstock/engine"
)

// dryRunOf is a dry run in the shape of the schema.
func dryRunOf(dry *engine.DryRun) (*DryRun, error) {
	out := &DryRun{Status: dry.Status, Error: orNull(dry.Error), Nodes: []*DryRunNode{}}
	if dry.Alerts == nil {
		dry.Alerts = []map[string]any{}
	}
	for _, value := range []struct {
		from any
		into *json.RawMessage
	}{{dry.Payload, &out.Payload}, {dry.Incident, &out.Incident}, {dry.Alerts, &out.Alerts}} {
		var err error
		if *value.into, err = json.Marshal(value.from); err != nil {
			return nil, fmt.Errorf("encode a dry run: %w", err)
		}
	}
	for _, n := range dry.Nodes {
		node := &DryRunNode{
			NodeID: n.NodeID, NodeType: n.NodeType, Status: n.Status, Output: n.Output, Errors: n.Errors, SkipReason: orNull(n.SkipReason),
			Upstream: n.Upstream, Messages: []*DryRunMessage{}, Notes: n.Notes,
		}
		for _, m := range n.Messages {
			node.Messages = append(node.Messages, &DryRunMessage{
				Driver: m.Driver, Channel: orNull(m.Channel), Destination: orNull(m.Destination), Action: db.NotificationKind(m.Action),
				Severity: db.Severity(m.Severity), Title: m.Title, Text: m.Text,
			})
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out, nil
}
