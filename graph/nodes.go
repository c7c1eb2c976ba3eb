package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"penstock/auth"
	"penstock/db"
)

// Node is a record with a global id: one of the records of package db that the schema lists.
type Node any

// kind is the type of a global id: base64url of "<kind>:<key>".
type kind string

const (
	definitionNode   kind = "PipelineDefinition"
	versionNode      kind = "PipelineDefinitionVersion"
	runNode          kind = "PipelineRun"
	stageNode        kind = "StageExecution"
	incidentNode     kind = "Incident"
	alertNode        kind = "Alert"
	channelNode      kind = "Channel"
	notificationNode kind = "Notification"
	userNode         kind = "User"     // needs the scope admin, as its list does
	tokenNode        kind = "ApiToken" // the same
	sourceNode       kind = "Source"
	deliveryNode     kind = "Delivery"
	decisionNode     kind = "Decision"
	scheduleNode     kind = "Schedule"
)

func (k kind) id(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(k) + ":" + key))
}

func openID(id string) (kind, string, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return "", "", false
	}
	k, key, ok := strings.Cut(string(raw), ":")
	return kind(k), key, ok
}

// key reads an id as callers know it: the global id of the kind, or the UUID of the REST API.
func (k kind) key(id string) string {
	if found, key, ok := openID(id); ok && found == k {
		return key
	}
	return id
}

// node finds a record by its global id; nil if there is none.
func (r *Resolver) node(ctx context.Context, id string) (Node, error) {
	l := loadersOf(ctx)
	switch k, key, _ := openID(id); k {
	case definitionNode:
		def, err := l.definitions.load(ctx, key)
		if def == nil || !def.DeletedAt.IsZero() {
			return nil, err
		}
		return def, err
	case versionNode:
		return found(r.store.DefinitionVersion(ctx, key))
	case runNode:
		return found(l.runs.load(ctx, key))
	case stageNode:
		return r.stage(ctx, key)
	case incidentNode:
		return found(l.incidents.load(ctx, key))
	case alertNode:
		return found(r.store.Alert(ctx, key))
	case channelNode:
		return found(r.store.Channel(ctx, key))
	case userNode:
		if caller(ctx).Has(auth.Admin) {
			return found(r.store.User(ctx, key))
		}
	case tokenNode:
		if !caller(ctx).Has(auth.Admin) {
			return nil, nil
		}
		tokens, err := r.store.Tokens(ctx)
		if i := slices.IndexFunc(tokens, func(t db.APIToken) bool { return t.ID == key }); i >= 0 {
			return &tokens[i], nil
		}
		return nil, err
	case notificationNode:
		return found(r.notification(ctx, key))
	case sourceNode:
		return found(r.store.Source(ctx, key))
	case deliveryNode:
		return found(l.deliveries.load(ctx, key))
	case decisionNode:
		return found(r.store.Decision(ctx, key))
	case scheduleNode:
		return found(r.store.Schedule(ctx, key))
	}
	return nil, nil
}

// found keeps a nil record from becoming a Node that is not nil.
func found[T any](record *T, err error) (Node, error) {
	if record, err = orNil(record, err); record == nil || err != nil {
		return nil, err
	}
	return record, nil
}

// stage finds an attempt by "<run>/<node>/<attempt>".
func (r *Resolver) stage(ctx context.Context, key string) (Node, error) {
	run, _, _ := strings.Cut(key, "/")
	stages, err := loadersOf(ctx).stages.load(ctx, run)
	for i := range stages {
		if stageKey(&stages[i]) == key {
			return &stages[i], nil
		}
	}
	return nil, err
}

func stageKey(s *db.StageExecution) string {
	return fmt.Sprintf("%s/%s/%d", s.RunID, s.NodeID, s.Attempt)
}

// NodeType is a part that definitions are made of.
type NodeType struct {
	Name, Title string
	Description *string
	Category    NodeTypeCategory
	Schema      json.RawMessage
}
