package engine

import (
	"fmt"
	"slices"
	"time"

	"penstock/db"
)

// verdict is what to do with a message. The zero value: send it as a new one.
type verdict struct {
	skip    string        // do not send it, because
	wait    time.Duration // not now, but so much later
	earlier *db.NotificationMessage
}

// judge keeps the order of messages about one incident in one channel. The newest state counts: a
// message that a newer one has overtaken, or that is about what is over, is not sent; a resolve is sent
// only where something may have arrived, and once for all nodes of a run that told their channel the same
// story; and nothing overtakes an attempt that is under way.
func judge(m *db.NotificationMessage, update bool, incident db.IncidentState, others []db.NotificationMessage, now time.Time) (v verdict) {
	resolve := m.Kind == db.NotificationResolve
	if over := incident.Status == db.IncidentResolved || incident.Status == db.IncidentClosed || incident.Occurrence > m.Occurrence; over && !resolve {
		return verdict{skip: "The incident was resolved before the message could be sent."}
	}
	arrived, nearest := false, 0
	var said []string          // nodes of this run that have told the channel that it is over
	begun := map[string]bool{} // nodes of this pipeline that have a message of their own in the channel
	for i := range others {
		o := &others[i]
		near := nearness(m, o)
		switch {
		case resolve && o.Kind == db.NotificationResolve:
			if o.RunID == m.RunID && o.Status == db.NotificationSent {
				said = append(said, o.NodeID)
			}
			continue // each pipeline says once that it is over
		case !resolve && near == stranger:
			continue // pipelines that tell the same channel do not know of each other
		case !resolve && o.Revision > m.Revision && (o.Status == db.NotificationSent || o.Status == db.NotificationPending):
			return verdict{skip: "A newer message about the incident has taken its place."}
		}
		if o.BusyUntil.After(now) {
			v.wait = max(v.wait, min(o.BusyUntil.Sub(now), 2*time.Second))
		}
		if o.MayHaveArrived {
			arrived = true
			if o.ProviderID != "" && near >= nearest {
				v.earlier, nearest = o, near
			}
			if near != stranger && o.ProviderID != "" && o.Kind == db.NotificationTrigger {
				begun[o.NodeID] = true
			}
		}
	}
	same := slices.IndexFunc(said, func(id string) bool { return !begun[id] || !begun[m.NodeID] })
	switch {
	case v.wait > 0:
	case same >= 0 && update:
		v.skip = fmt.Sprintf("The message of %s has told the channel that it is over.", said[same])
	case resolve && !arrived && m.IncidentID != "":
		v.skip = "There is nothing to resolve: no message about this occurrence has reached the channel."
	}
	return v
}

// How near an earlier message is to the one that may edit it.
const (
	stranger     = iota // of another pipeline
	ofDefinition        // of another node
	ofNode              // of the same node: it has told this part of the story before
	ofRun               // of a node before it
)

func nearness(m, o *db.NotificationMessage) int {
	switch {
	case o.RunID == m.RunID:
		return ofRun
	case o.DefinitionName != m.DefinitionName:
		return stranger
	case o.NodeID != m.NodeID:
		return ofDefinition
	}
	return ofNode
}
