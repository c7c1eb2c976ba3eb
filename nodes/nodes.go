// Package nodes holds the built-in node types: what the steps of a pipeline do. Each is one file, or
// a few that begin with its name: a configuration struct whose tags are its form, its schema and its
// documentation; what validation must know beyond the schema; and the node itself.
//
// A node reaches the world through [engine.Services] only. What it returns is stored and seen by
// later nodes, so that it holds no secrets, and no words of a vendor's error.
package nodes

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/nodes/host"
)

// Deps is what node types are made of. The registries and the way out (HTTP, Dial) are required.
type Deps struct {
	Sources *alerts.Registry
	Notify  *notify.Registry
	AI      *ai.Registry
	HTTP    *http.Client // guarded, see outbound
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)

	// What is nil is of the machine this runs on.
	Measure        func(ctx context.Context, w host.Want) (host.Sample, error)
	CountProcesses func(ctx context.Context, name string) (int, error)
	Lookup         func(ctx context.Context, host string) ([]string, error)
	Roots          *x509.CertPool
}

// All returns the node types in the order they are offered.
func All(d Deps) []engine.NodeType {
	if d.Measure == nil {
		d.Measure = host.New().Measure
	}
	if d.CountProcesses == nil {
		d.CountProcesses = host.CountProcesses
	}
	if d.Lookup == nil {
		d.Lookup = net.DefaultResolver.LookupHost
	}
	return []engine.NodeType{
		ingestType(d), contextType(d), checkType(d), intelligenceType(d), transformType(), conditionType(), notifyType(d), pipelineType(),
	}
}

// define makes a node type from its configuration struct C. The schema is t's, else that of C. Check
// may be nil.
func define[C any](t definition.Type, check func(cfg C, c *definition.Checker), build func(cfg C) (engine.Node, error)) engine.NodeType {
	if t.Schema == nil {
		t.Schema = drivers.SchemaOf[C]()
	}
	if check != nil {
		t.Check = func(config json.RawMessage, c *definition.Checker) {
			cfg, err := decode[C](config)
			if err != nil {
				c.Error("", definition.CodeWrongType, "The config cannot be read: %v.", err)
				return
			}
			check(cfg, c)
		}
	}
	return engine.NodeType{Type: t, Build: func(config json.RawMessage) (engine.Node, error) {
		cfg, err := decode[C](config)
		if err != nil {
			return nil, fmt.Errorf("decode the config of %s: %w", t.Name, err)
		}
		return build(cfg)
	}}
}

func decode[C any](config json.RawMessage) (cfg C, err error) {
	if len(config) == 0 {
		return cfg, nil
	}
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	err = d.Decode(&cfg)
	return cfg, err
}
