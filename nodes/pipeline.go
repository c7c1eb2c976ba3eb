package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"penstock/db"
	"penstock/drivers"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

type pipelineConfig struct {
	Definition string  `json:"definition" jsonschema:"title=Definition,format=definition,minLength=1,description=Name of the pipeline definition to run.,example=enrich"`
	Version    int     `json:"version,omitempty" jsonschema:"title=Version,minimum=1,description=Number of the version to run. Without it: the newest at the time."`
	Input      mapping `json:"input,omitempty" jsonschema:"title=Input,minProperties=1,description=The payload of the run: for each key a path like payload.host or nodes.analyze.output.summary\\, or {\"cel\": expression}. What is not there is null. Without input: the payload of this run."`
	Wait       *bool   `json:"wait,omitempty" jsonschema:"title=Wait,default=true,description=Whether to wait until the run has ended. If not\\, the node has succeeded once the run is accepted."`
}

const pipelineAbout = "Runs another definition as a run of its own, on the same incident, and waits for its end. While it waits it holds no worker, and it waits on after a restart. " +
	"The run is the same however often the node is tried; cancelling this run cancels it, continuing this run continues it. Definitions that run each other in a circle are refused. " +
	"A run that failed or was cancelled fails the node; a partial one does not, but the node has errors. " +
	"Output: run_id, definition, version, status, and nodes with the outputs of the nodes that nothing follows, at most 256 KiB; unverified (true) if they hold text of an AI."

const maxSubRunOutput = 256 << 10

// inputRoots are what the paths of input begin with.
var inputRoots = expr.Names()

func pipelineType() engine.NodeType {
	return define(definition.Type{
		Name: "pipeline", Title: "Pipeline", Description: pipelineAbout, SideEffects: true, Waits: true,
		Schema: patched(drivers.SchemaOf[pipelineConfig](), patch{"properties.input.additionalProperties", mappedSchema}),
		Call: func(config json.RawMessage) definition.Call {
			var cfg pipelineConfig
			_ = json.Unmarshal(config, &cfg) // what cannot be read is the schema's to report
			return definition.Call{Definition: cfg.Definition, Version: cfg.Version}
		},
	}, checkPipeline, newPipeline)
}

func checkPipeline(cfg pipelineConfig, c *definition.Checker) {
	c.Call("/definition", definition.Call{Definition: cfg.Definition, Version: cfg.Version})
	cfg.Input.check("/input", expr.Options{}, c)
	for _, key := range cfg.Input.keys() {
		p, err := parsePath(cfg.Input[key].Path)
		if err != nil || cfg.Input[key].CEL != "" {
			continue
		}
		at := "/input" + drivers.Pointer(key)
		switch {
		case !slices.Contains(inputRoots, p[0]):
			c.Error(at, definition.CodeBadValue, "%q does not begin with one of %s. To hand on a fixed text, write {\"cel\": \"'text'\"}.", cfg.Input[key].Path, words(inputRoots))
		case p[0] == "nodes" && len(p) > 1:
			c.Ref(at, p[1])
		}
	}
}

type pipeline struct {
	call  engine.SubRun
	input *mapper // nil: the payload as it is
}

func newPipeline(cfg pipelineConfig) (engine.Node, error) {
	n := pipeline{call: engine.SubRun{Definition: cfg.Definition, Version: cfg.Version, Wait: cfg.Wait == nil || *cfg.Wait}}
	var err error
	if cfg.Input != nil {
		n.input, err = cfg.Input.compile(expr.Options{})
	}
	return n, err
}

func (n pipeline) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	payload, err := in.Payload, error(nil)
	if n.input != nil {
		if payload, err = n.input.object(ctx, in.Vars, roots(in.Vars)); err != nil {
			return engine.Output{}, err
		}
	}
	call := n.call
	if n.input == nil && in.Document != nil {
		call.Payload = in.Document
	} else if call.Payload, err = json.Marshal(payload); err != nil {
		return engine.Output{}, err
	}
	r, err := in.Services.SubRun(ctx, call)
	if err != nil {
		return engine.Output{}, err
	}
	out := engine.Output{Data: map[string]any{"run_id": r.RunID, "definition": r.Definition, "version": r.Version, "status": string(r.Status)}}
	if !call.Wait {
		return out, nil
	}
	hand(r, &out)
	switch r.Status {
	case db.RunCompleted:
		return out, nil
	case db.RunPartial:
		out.Errors = append(out.Errors, fmt.Sprintf("The run %s of %s is partial: %s failed.", r.RunID, r.Definition, words(r.Failed)))
		return out, nil
	}
	return out, fault.New(fault.Unprocessable, "The run %s of %s is %s: %s.", r.RunID, r.Definition, r.Status, strings.TrimSuffix(r.Error, "."))
}

// hand puts the outputs of a run into the output of the node, as far as they fit.
func hand(r engine.SubRunResult, out *engine.Output) {
	outputs, size := map[string]any{}, 0
	for _, final := range r.Final {
		raw, err := json.Marshal(final.Output)
		if size += len(raw); err != nil || size > maxSubRunOutput {
			size -= len(raw)
			out.Errors = append(out.Errors, fmt.Sprintf("The output of %s (%d bytes) is left out: a run hands on at most %d bytes.", final.NodeID, len(raw), maxSubRunOutput))
			continue
		}
		outputs[final.NodeID] = final.Output
		if unverified(engine.UpstreamResult{NodeOutput: final}) {
			out.Data["unverified"] = true
		}
	}
	out.Data["nodes"] = outputs
}

// roots is what paths lead into: the variables of expressions as plain data.
func roots(v expr.Vars) map[string]any {
	alerts := make([]any, len(v.Alerts))
	for i, a := range v.Alerts {
		alerts[i] = a
	}
	return map[string]any{
		"payload": v.Payload, "alert": v.Alert, "alerts": alerts, "incident": v.Incident,
		"run": v.Run, "nodes": v.Nodes, "now": v.Now,
	}
}
