package local

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"penstock/drivers/ai"
)

// machine is what context and check nodes found out, the newest value of each.
type machine struct {
	host      string // "" if the context does not say
	figures   []figure
	processes []process
	checks    []check

	told map[string]bool // classes whose figures are in a finding
}

// figure is one measured value with its limits.
type figure struct {
	class             string
	label, unit       string
	value             float64
	warning, critical float64
	path              string // of a file system
}

type process struct {
	name        string
	pid         int
	cpu, memory float64
}

// check is the result of one health check.
type check struct{ name, kind, status, message, path string }

func (f figure) String() string {
	return f.label + " " + f.amount()
}

func (f figure) amount() string { return strconv.FormatFloat(f.value, 'f', -1, 64) + f.unit }

// evidence names the limit that is exceeded, "" if none is.
func (f figure) evidence() string {
	switch {
	case f.value >= f.critical:
		return fmt.Sprintf("context %s (critical from %g%s)", f, f.critical, f.unit)
	case f.value >= f.warning:
		return fmt.Sprintf("context %s (warning from %g%s)", f, f.warning, f.unit)
	}
	return ""
}

func (f figure) priority() int {
	switch {
	case f.value < f.critical:
		return 2
	case f.class == "cpu": // a busy processor is slow; full memory and disks are broken
		return 1
	}
	return 0
}

func machineOf(nodes []ai.NodeOutput, limits Config) *machine {
	m := &machine{told: map[string]bool{}}
	for _, node := range nodes {
		if system, ok := node.Output["system"].(map[string]any); ok {
			m.host = cmp.Or(m.host, text(at(system, "host", "hostname")), text(node.Output["host"]))
			m.read(system, limits)
		}
		m.readChecks(node.Output["checks"])
	}
	return m
}

func (m *machine) read(system map[string]any, c Config) {
	m.add(figure{class: "cpu", label: "CPU", unit: " %", warning: c.CPUWarning, critical: c.CPUCritical}, at(system, "cpu", "percent"))
	m.add(figure{class: "memory", label: "memory", unit: " %", warning: c.MemoryWarning, critical: c.MemoryCritical}, at(system, "memory", "percent"))
	m.add(figure{class: "memory", label: "swap", unit: " %", warning: c.SwapWarning, critical: c.SwapCritical}, at(system, "memory", "swap_percent"))
	cores, _ := number(at(system, "cpu", "count_logical"))
	if load, ok := number(at(system, "load", "load1")); ok && cores > 0 {
		m.add(figure{class: "cpu", label: "load per core", warning: c.LoadWarning, critical: c.LoadCritical}, load/cores)
	}
	for _, key := range []string{"disk", "inodes"} {
		for _, fs := range objects(system[key]) {
			f := figure{class: key, label: key, unit: " %", warning: c.DiskWarning, critical: c.DiskCritical, path: text(fs["path"])}
			if f.path != "" {
				f.label += " " + f.path
			}
			m.add(f, fs["percent"])
		}
	}
	if len(m.processes) == 0 {
		for _, p := range objects(system["processes"]) {
			pid, _ := number(p["pid"])
			cpu, _ := number(p["cpu_percent"])
			memory, _ := number(p["memory_percent"])
			m.processes = append(m.processes, process{text(p["name"]), int(pid), cpu, memory})
		}
	}
}

// add keeps the first, which is the newest, value of a label.
func (m *machine) add(f figure, v any) {
	value, ok := number(v)
	if !ok || math.IsNaN(value) || math.IsInf(value, 0) || slices.ContainsFunc(m.figures, func(other figure) bool { return other.label == f.label }) {
		return
	}
	f.value = math.Round(value*10) / 10
	m.figures = append(m.figures, f)
}

func (m *machine) readChecks(v any) {
	results := objects(v)
	if byName, ok := v.(map[string]any); ok {
		results = nil
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			if result, ok := byName[name].(map[string]any); ok {
				result = maps.Clone(result)
				result["name"] = name
				results = append(results, result)
			}
		}
	}
	for _, r := range results {
		c := check{name: text(r["name"]), kind: text(r["type"]), status: text(r["status"]), message: text(r["message"]), path: text(at(r, "metrics", "path"))}
		c.name = cmp.Or(c.name, c.kind)
		c.kind = cmp.Or(c.kind, c.name)
		if c.name != "" && !slices.ContainsFunc(m.checks, func(other check) bool { return other.name == c.name }) {
			m.checks = append(m.checks, c)
		}
	}
}

// is reports whether host names this machine, with or without its domain.
func (m *machine) is(host string) bool {
	if host == "" || m.host == "" {
		return false
	}
	short, _, qualified := strings.Cut(host, ".")
	ours, _, oursQualified := strings.Cut(m.host, ".")
	if qualified && oursQualified {
		return strings.EqualFold(host, m.host)
	}
	return strings.EqualFold(short, ours)
}

func (m *machine) name() string { return cmp.Or(m.host, "the machine that runs Penstock") }

// figureFindings makes one finding per class whose figures exceed a limit and are not yet in one.
func (m *machine) figureFindings() []finding {
	var findings []finding
	figures := slices.Clone(m.figures)
	slices.SortStableFunc(figures, func(a, b figure) int {
		return cmp.Or(cmp.Compare(a.priority(), b.priority()), cmp.Compare(b.value, a.value))
	})
	for _, f := range figures {
		if f.evidence() == "" || m.told[f.class] {
			continue
		}
		c := classNamed(f.class)
		next := finding{kind: c.kind, priority: f.priority(), title: fmt.Sprintf("%s at %s on %s", strings.ToUpper(f.label[:1])+f.label[1:], f.amount(), m.name()), description: []string{c.meaning}}
		next.actions = m.actions(c, f.path)
		m.merge(&next, c)
		findings = append(findings, next)
	}
	return findings
}

// actions are those of a class for this machine.
func (m *machine) actions(c *class, path string) []string {
	about := subject{host: m.host, labels: map[string]string{"path": path}}
	var actions []string
	for _, action := range c.actions {
		actions = append(actions, about.fill(strings.ReplaceAll(action, "On {host}:", "On "+m.name()+":")))
	}
	return actions
}

// merge puts the figures of a class that exceed a limit into a finding of this machine.
func (m *machine) merge(f *finding, c *class) {
	class := c.name
	if class == "oom" {
		class = "memory"
	}
	if m.told[class] {
		return
	}
	for _, figure := range m.figures {
		if evidence := figure.evidence(); figure.class == class && evidence != "" {
			m.told[class] = true
			f.evidence = append(f.evidence, evidence)
			f.priority = min(f.priority, figure.priority())
		}
	}
	if top := m.top(class); m.told[class] && top != "" {
		f.evidence = append(f.evidence, top)
	}
}

// top names the processes that use most of what a class is about.
func (m *machine) top(class string) string {
	use := func(p process) float64 { return p.cpu }
	switch class {
	case "cpu":
	case "memory":
		use = func(p process) float64 { return p.memory }
	default:
		return ""
	}
	list := slices.Clone(m.processes)
	slices.SortStableFunc(list, func(a, b process) int { return cmp.Compare(use(b), use(a)) })
	var names []string
	for _, p := range list[:min(len(list), 3)] {
		if use(p) > 0 {
			names = append(names, fmt.Sprintf("%s (pid %d) %.1f %%", p.name, p.pid, use(p)))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "most " + class + ": " + strings.Join(names, ", ")
}

// checkClasses says which class the checks of a type belong to.
var checkClasses = map[string]string{
	"cpu": "cpu", "load": "cpu", "memory": "memory", "disk": "disk", "inodes": "inodes", "process": "down",
	"http": "errors", "tcp": "down", "dns": "dns", "tls_certificate": "certificate",
}

// ofMachine are the checks of this machine; the others look at something else.
var ofMachine = []string{"cpu", "load", "memory", "disk", "inodes", "process"}

// checkFindings makes one finding per check that is not ok.
func (m *machine) checkFindings() []finding {
	var findings []finding
	for _, c := range m.checks {
		f := finding{kind: "other"}
		switch c.status {
		case "critical":
			f.priority, f.title = 0, "Check "+c.name+" is critical"
		case "warning":
			f.priority, f.title = 2, "Check "+c.name+" gives a warning"
		case "unknown":
			f.priority, f.title = 3, "Check "+c.name+" could not be made"
		default:
			continue
		}
		if c.message != "" {
			f.title += ": " + strings.TrimSuffix(c.message, ".")
		}
		f.evidence = []string{fmt.Sprintf("check %s (%s) %s %q", c.name, c.kind, c.status, c.message)}
		class := classNamed(checkClasses[c.kind])
		if class == nil {
			class, _ = classOf(c.name + " " + c.message)
		}
		if class != nil {
			f.kind = class.kind
		}
		switch {
		case c.status == "unknown":
			f.description = []string{"It says nothing about what it looks at until it can be made again."}
			f.actions = []string{"Look at the check's configuration and at the way from Penstock to its target"}
		case class == nil:
			f.description = []string{"The check reports a problem that no rule knows."}
			f.actions = []string{"Look at what the check " + c.name + " measures, and at its limits"}
		case slices.Contains(ofMachine, c.kind):
			f.description = []string{class.meaning}
			f.actions = m.actions(class, c.path)
			m.merge(&f, class)
		default:
			f.description = []string{class.meaning}
			for _, action := range class.actions {
				f.actions = append(f.actions, subject{}.fill(action))
			}
		}
		findings = append(findings, f)
	}
	return findings
}

// at follows keys through objects.
func at(v any, keys ...string) any {
	for _, key := range keys {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	return v
}

// objects reads a list of objects, or one alone.
func objects(v any) []map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []map[string]any:
		return v
	case []any:
		var out []map[string]any
		for _, item := range v {
			if object, ok := item.(map[string]any); ok {
				out = append(out, object)
			}
		}
		return out
	}
	return nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}
