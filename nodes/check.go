package nodes

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

type checkConfig struct {
	Checks     []checkItem `json:"checks" jsonschema:"title=Checks,minItems=1,maxItems=50,description=What to check\\, all at the same time."`
	RaiseAlert bool        `json:"raise_alert,omitempty" jsonschema:"title=Raise alerts,default=false,description=Whether a check that is warning or critical is an alert of the source check\\, resolved when it is ok again. The alerts are routed like all others."`
}

type checkItem struct {
	Name           string   `json:"name,omitempty" jsonschema:"title=Name,minLength=1,maxLength=200,description=How the check is called\\, unique in the node. Without it: its type and what it looks at."`
	Type           string   `json:"type" jsonschema:"title=Type,enum=cpu,enum=memory,enum=disk,enum=inodes,enum=load,enum=process,enum=http,enum=tcp,enum=dns,enum=tls_certificate,description=What is checked."`
	Warning        *float64 `json:"warning,omitempty" jsonschema:"title=Warning,minimum=0,description=Limit of a warning. See the node type for its unit and default."`
	Critical       *float64 `json:"critical,omitempty" jsonschema:"title=Critical,minimum=0,description=Limit of critical."`
	Path           string   `json:"path,omitempty" jsonschema:"title=Path,minLength=1,description=disk and inodes: a path on the file system. / if nothing is written."`
	Process        string   `json:"process,omitempty" jsonschema:"title=Process,minLength=1,description=process: the name of the program."`
	URL            string   `json:"url,omitempty" jsonschema:"title=URL,pattern=^https?://,description=http: the address to read. Redirects are not followed."`
	ExpectStatus   []int    `json:"expect_status,omitempty" jsonschema:"title=Expected status,minItems=1,uniqueItems=true,description=http: status codes that are well. 200 to 399 if nothing is written."`
	Contains       string   `json:"contains,omitempty" jsonschema:"title=Contains,minLength=1,description=http: text that the first 64 KiB of the answer must contain."`
	Host           string   `json:"host,omitempty" jsonschema:"title=Host,minLength=1,description=tcp\\, dns and tls_certificate: name or address."`
	Port           int      `json:"port,omitempty" jsonschema:"title=Port,minimum=1,maximum=65535,description=tcp\\, and tls_certificate (443 if nothing is written)."`
	TimeoutSeconds int      `json:"timeout_seconds,omitempty" jsonschema:"title=Timeout in seconds,minimum=1,maximum=60,description=http\\, tcp\\, dns and tls_certificate: how long to wait for an answer. 10 if nothing is written."`
}

const checkAbout = "Runs health checks. Output: checks [{name, type, status, message, metrics}] and worst; a status is ok, warning, critical or unknown. " +
	"What cannot be reached is critical; what cannot be told, or may not be reached from here (PENSTOCK_ALLOW_PRIVATE_TARGETS), is unknown. Neither fails the node. " +
	"Limits (warning, critical): cpu 80, 95 %; memory 85, 95 %; disk and inodes 85, 95 % used; load 1.5, 3 for each processor over five minutes; " +
	"http, tcp and dns 2000, 5000 ms; bad at or below: tls_certificate 21, 7 days left; process 0 running (critical). " +
	"cpu, memory, disk, inodes, load and process are of the machine that Penstock runs on."

// Status of a check, from best to worst.
const (
	checkOK       = "ok"
	checkUnknown  = "unknown"
	checkWarning  = "warning"
	checkCritical = "critical"
)

var checkRank = []string{checkOK, checkUnknown, checkWarning, checkCritical}

// checkKind is what one type of check needs and how its value is judged.
type checkKind struct {
	needs, takes      []string // settings beside name, type, warning and critical
	unit              string
	falling           bool // bad at or below a limit, not at or above
	warning, critical *float64
	target            func(c checkItem) string // for its name
	machine           bool                     // about this machine, not about target
	look              func(ctx context.Context, d Deps, c checkItem) (found, error)
}

// found is what a check found out.
type found struct {
	value   float64
	subject string         // "Memory is at"
	down    string         // why it is critical without a value
	metrics map[string]any // plain data
}

func checkKinds() map[string]checkKind {
	path := func(c checkItem) string { return cmp.Or(c.Path, "/") }
	none := func(checkItem) string { return "" }
	timed := func(kind checkKind) checkKind {
		kind.unit, kind.warning, kind.critical = " ms", new(2000.0), new(5000.0)
		kind.takes = append(kind.takes, "timeout_seconds")
		return kind
	}
	return map[string]checkKind{
		"cpu":     {unit: " %", warning: new(80.0), critical: new(95.0), target: none, machine: true, look: lookAtCPU},
		"memory":  {unit: " %", warning: new(85.0), critical: new(95.0), target: none, machine: true, look: lookAtMemory},
		"disk":    {unit: " %", warning: new(85.0), critical: new(95.0), target: path, machine: true, takes: []string{"path"}, look: lookAtDisk},
		"inodes":  {unit: " %", warning: new(85.0), critical: new(95.0), target: path, machine: true, takes: []string{"path"}, look: lookAtDisk},
		"load":    {warning: new(1.5), critical: new(3.0), target: none, machine: true, look: lookAtLoad},
		"process": {falling: true, critical: new(0.0), needs: []string{"process"}, machine: true, target: func(c checkItem) string { return c.Process }, look: lookForProcess},
		"http":    timed(checkKind{needs: []string{"url"}, takes: []string{"expect_status", "contains"}, target: func(c checkItem) string { return hostOf(c.URL) }, look: lookAtHTTP}),
		"tcp":     timed(checkKind{needs: []string{"host", "port"}, target: address, look: lookAtTCP}),
		"dns":     timed(checkKind{needs: []string{"host"}, target: func(c checkItem) string { return c.Host }, look: lookAtDNS}),
		"tls_certificate": {unit: " days", falling: true, warning: new(21.0), critical: new(7.0), needs: []string{"host"},
			takes: []string{"port", "timeout_seconds"}, target: address, look: lookAtCertificate},
	}
}

func checkType(d Deps) engine.NodeType {
	kinds := checkKinds()
	return define(definition.Type{Name: "check", Title: "Check", Description: checkAbout},
		func(cfg checkConfig, c *definition.Checker) {
			names := map[string]bool{}
			for i, item := range cfg.Checks {
				checkOne(fmt.Sprintf("/checks/%d", i), item, kinds[item.Type], c)
				if name := item.name(kinds); names[name] {
					c.Error(fmt.Sprintf("/checks/%d/name", i), definition.CodeBadValue, "Two checks are called %q. Give one of them another name.", name)
				} else {
					names[name] = true
				}
			}
		},
		func(cfg checkConfig) (engine.Node, error) { return checkNode{cfg, kinds, d}, nil })
}

// checkOne reports settings that a type does not have or that are missing, and limits in the wrong order.
func checkOne(at string, item checkItem, kind checkKind, c *definition.Checker) {
	written := map[string]bool{
		"path": item.Path != "", "process": item.Process != "", "url": item.URL != "", "expect_status": item.ExpectStatus != nil,
		"contains": item.Contains != "", "host": item.Host != "", "port": item.Port != 0, "timeout_seconds": item.TimeoutSeconds != 0,
	}
	for _, key := range kind.needs {
		if !written[key] {
			c.Error(at, definition.CodeMissingKey, "A check of type %s needs %q.", item.Type, key)
		}
	}
	known := slices.Concat(kind.needs, kind.takes)
	for _, key := range slices.Sorted(maps.Keys(written)) {
		if written[key] && !slices.Contains(known, key) {
			c.Error(at+"/"+key, definition.CodeUnknownKey, "A check of type %s has no %q.", item.Type, key)
		}
	}
	if item.Path != "" && !strings.HasPrefix(item.Path, "/") {
		c.Error(at+"/path", definition.CodeBadValue, "The path %q is not absolute. Write it from the root, like /var/lib.", item.Path)
	}
	if item.URL != "" && hostOf(item.URL) == "" {
		c.Error(at+"/url", definition.CodeBadValue, "The URL cannot be read. Write it like https://example.com/health.")
	}
	warning, critical := item.limits(kind)
	switch {
	case warning == nil || critical == nil:
	case kind.falling && *warning <= *critical:
		c.Error(at+"/warning", definition.CodeBadValue, "warning (%s) must be more than critical (%s), because less is worse.", figureText(*warning), figureText(*critical))
	case !kind.falling && *warning >= *critical:
		c.Error(at+"/warning", definition.CodeBadValue, "warning (%s) must be less than critical (%s).", figureText(*warning), figureText(*critical))
	}
}

func (item checkItem) name(kinds map[string]checkKind) string {
	return cmp.Or(item.Name, strings.TrimSpace(item.Type+" "+kinds[item.Type].target(item)))
}

func (item checkItem) limits(kind checkKind) (warning, critical *float64) {
	warning, critical = kind.warning, kind.critical
	if item.Warning != nil {
		warning = item.Warning
	}
	if item.Critical != nil {
		critical = item.Critical
	}
	return warning, critical
}

type checkNode struct {
	checkConfig
	kinds map[string]checkKind
	deps  Deps
}

type checked struct{ name, status, message, host string }

func (n checkNode) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	results, metrics := make([]checked, len(n.Checks)), make([]map[string]any, len(n.Checks))
	var wg sync.WaitGroup
	for i, item := range n.Checks {
		wg.Go(func() { results[i], metrics[i] = n.one(ctx, item) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return engine.Output{}, context.Cause(ctx)
	}
	out := engine.Output{}
	list, worst := make([]any, len(results)), checkOK
	for i, r := range results {
		list[i] = map[string]any{"name": r.name, "type": n.Checks[i].Type, "status": r.status, "message": r.message, "metrics": metrics[i]}
		if slices.Index(checkRank, r.status) > slices.Index(checkRank, worst) {
			worst = r.status
		}
		if r.status == checkUnknown {
			out.Errors = append(out.Errors, r.name+": "+r.message)
		}
	}
	out.Data = map[string]any{"checks": list, "worst": worst, "host": machineName(), "checked_at": in.Now.UTC().Format(time.RFC3339Nano)}
	if n.RaiseAlert {
		if err := in.Services.Raise(ctx, n.alerts(in, results)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// one makes one check.
func (n checkNode) one(ctx context.Context, item checkItem) (checked, map[string]any) {
	kind := n.kinds[item.Type]
	r := checked{name: item.name(n.kinds), host: machineName()}
	if !kind.machine {
		r.host = cmp.Or(item.Host, hostOf(item.URL))
		limited, cancel := context.WithTimeout(ctx, patience(item))
		defer cancel()
		ctx = limited
	}
	f, err := kind.look(ctx, n.deps, item)
	if err != nil {
		r.status, r.message = checkUnknown, fault.Of(err).Message
		return r, map[string]any{}
	}
	r.status, r.message = judge(item, kind, f)
	return r, f.metrics
}

func patience(item checkItem) time.Duration {
	return time.Duration(cmp.Or(item.TimeoutSeconds, 10)) * time.Second
}

// judge compares what was found with the limits.
func judge(item checkItem, kind checkKind, f found) (status, message string) {
	if f.down != "" {
		return checkCritical, f.down
	}
	warning, critical := item.limits(kind)
	beyond := func(limit *float64) bool {
		return limit != nil && (kind.falling && f.value <= *limit || !kind.falling && f.value >= *limit)
	}
	text := f.subject + " " + figureText(f.value) + kind.unit
	switch {
	case beyond(critical):
		return checkCritical, fmt.Sprintf("%s; the limit is %s%s.", text, figureText(*critical), kind.unit)
	case beyond(warning):
		return checkWarning, fmt.Sprintf("%s; the limit is %s%s.", text, figureText(*warning), kind.unit)
	}
	return checkOK, text + "."
}

func figureText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
