// Package local is an analyser that needs nothing: rules over alerts, context figures and check
// results. The same request always gives the same answer. It says which evidence it used, and
// "No finding." when it has none.
package local

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"penstock/drivers"
	"penstock/drivers/ai"
)

// Config is how a definition writes the analyser's settings.
type Config struct {
	CPUWarning     float64 `json:"cpu_warning,omitempty" jsonschema:"title=CPU warning (%),default=80,minimum=1,maximum=100,description=CPU use from which it is a finding."`
	CPUCritical    float64 `json:"cpu_critical,omitempty" jsonschema:"title=CPU critical (%),default=90,minimum=1,maximum=100,description=CPU use from which it is urgent."`
	MemoryWarning  float64 `json:"memory_warning,omitempty" jsonschema:"title=Memory warning (%),default=85,minimum=1,maximum=100,description=Memory use from which it is a finding."`
	MemoryCritical float64 `json:"memory_critical,omitempty" jsonschema:"title=Memory critical (%),default=95,minimum=1,maximum=100,description=Memory use from which it is urgent."`
	SwapWarning    float64 `json:"swap_warning,omitempty" jsonschema:"title=Swap warning (%),default=50,minimum=1,maximum=100,description=Swap use from which it is a finding."`
	SwapCritical   float64 `json:"swap_critical,omitempty" jsonschema:"title=Swap critical (%),default=90,minimum=1,maximum=100,description=Swap use from which it is urgent."`
	DiskWarning    float64 `json:"disk_warning,omitempty" jsonschema:"title=Disk warning (%),default=85,minimum=1,maximum=100,description=Use of a file system\\, in space or inodes\\, from which it is a finding."`
	DiskCritical   float64 `json:"disk_critical,omitempty" jsonschema:"title=Disk critical (%),default=95,minimum=1,maximum=100,description=Use of a file system\\, in space or inodes\\, from which it is urgent."`
	LoadWarning    float64 `json:"load_warning,omitempty" jsonschema:"title=Load warning,default=1.5,minimum=0.1,maximum=1000,description=Load per core over one minute from which it is a finding."`
	LoadCritical   float64 `json:"load_critical,omitempty" jsonschema:"title=Load critical,default=3,minimum=0.1,maximum=1000,description=Load per core over one minute from which it is urgent."`
}

// Analyser is an [ai.Provider].
type Analyser struct{ limits Config }

// Kind returns the analyser's kind. It needs none of the dependencies.
func Kind(ai.Deps) drivers.Kind[ai.Provider] {
	return drivers.Define("local", "Local rules", func(_ context.Context, c Config) (ai.Provider, error) {
		return &Analyser{limits: c.withDefaults()}, nil
	})
}

func (c Config) withDefaults() Config {
	return Config{
		CPUWarning: cmp.Or(c.CPUWarning, 80), CPUCritical: cmp.Or(c.CPUCritical, 90),
		MemoryWarning: cmp.Or(c.MemoryWarning, 85), MemoryCritical: cmp.Or(c.MemoryCritical, 95),
		SwapWarning: cmp.Or(c.SwapWarning, 50), SwapCritical: cmp.Or(c.SwapCritical, 90),
		DiskWarning: cmp.Or(c.DiskWarning, 85), DiskCritical: cmp.Or(c.DiskCritical, 95),
		LoadWarning: cmp.Or(c.LoadWarning, 1.5), LoadCritical: cmp.Or(c.LoadCritical, 3),
	}
}

// Analyze implements [ai.Provider].
func (a *Analyser) Analyze(ctx context.Context, req ai.Request) iter.Seq2[ai.Chunk, error] {
	return func(yield func(ai.Chunk, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(ai.Chunk{}, err)
			return
		}
		result := a.analyse(req)
		if yield(ai.Chunk{Text: result.Summary + "\n\n" + result.Description}, nil) {
			yield(ai.Chunk{Result: result}, nil)
		}
	}
}

// finding is a recommendation that evidence is still being added to.
type finding struct {
	kind        string
	priority    int // index into ai.Priorities
	title       string
	description []string
	actions     []string
	evidence    []string
}

func (a *Analyser) analyse(req ai.Request) *ai.Analysis {
	subjects := subjectsOf(req)
	machine := machineOf(req.Context, a.limits)
	var firing, resolved []subject
	for _, s := range subjects {
		if s.resolved {
			resolved = append(resolved, s)
		} else {
			firing = append(firing, s)
		}
	}
	findings := slices.Concat(alertFindings(firing, machine), machine.checkFindings(), machine.figureFindings())
	slices.SortStableFunc(findings, func(x, y finding) int { return cmp.Compare(x.priority, y.priority) })

	result := &ai.Analysis{Model: "rules", Description: describe(firing, resolved, machine)}
	for _, f := range findings {
		result.Recommendations = append(result.Recommendations, ai.Recommendation{
			Type: f.kind, Priority: ai.Priorities[f.priority], Title: f.title,
			Description: strings.Join(f.description, " "), Actions: f.actions, Evidence: f.evidence,
		})
	}
	switch n := len(findings); {
	case n == 1:
		result.Summary = findings[0].title + "."
	case n > 1:
		result.Summary = fmt.Sprintf("%d findings, the most urgent: %s.", n, findings[0].title)
	case len(resolved) > 0:
		result.Summary = fmt.Sprintf("Resolved: %s.", places(resolved))
	default:
		result.Summary = "No finding."
	}
	if left := len(findings) - ai.MaxRecommendations; left > 0 {
		result.Description += fmt.Sprintf(" %s less urgent left out.", count(left, "finding is", "findings are"))
	}
	result.Fit()
	return result
}

// describe says what was looked at, so that "No finding." can be judged.
func describe(firing, resolved []subject, m *machine) string {
	var parts []string
	add := func(n int, one, many string) {
		if n > 0 {
			parts = append(parts, count(n, one, many))
		}
	}
	add(len(firing), "firing alert", "firing alerts")
	add(len(resolved), "resolved alert", "resolved alerts")
	add(len(m.figures), "context figure", "context figures")
	add(len(m.checks), "check result", "check results")
	if len(parts) == 0 {
		return "There was nothing to look at: no alerts, no context figures, no check results."
	}
	text := "Looked at " + join(parts) + "."
	if len(m.figures) > 0 {
		var figures []string
		for _, f := range m.figures {
			figures = append(figures, f.String())
		}
		text += " Figures of " + m.name() + ": " + strings.Join(figures, ", ") + "."
	}
	return text
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// join writes "a, b and c".
func join(parts []string) string {
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}

// some writes the first three and how many more there are.
func some(items []string) string {
	if n := len(items); n > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:3], ", "), n-3)
	}
	return join(items)
}
