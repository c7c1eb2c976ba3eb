package nodes_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"penstock/nodes"
	"penstock/nodes/host"
	"penstock/nodes/nodetest"
)

func TestContext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, config string
		metrics      []string
	}{
		{"cpu, memory and disk without a word", `{}`, []string{"cpu", "memory", "disk"}},
		{"only what was asked for", `{"include": ["processes", "cpu"]}`, []string{"processes", "cpu"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := nodetest.Run(t, nodeType(t, "context"), c.config, nodetest.Input(&nodetest.World{}))
			if err != nil {
				t.Fatal(err)
			}
			system := out.Data["system"].(map[string]any)
			if got := slices.Sorted(maps.Keys(system)); !slices.Equal(got, slices.Sorted(slices.Values(c.metrics))) {
				t.Errorf("measured %v", got)
			}
			included := []string{}
			for _, m := range out.Data["metrics_included"].([]any) {
				included = append(included, m.(string))
			}
			if !slices.Equal(included, c.metrics) || out.Data["host"] != "penstock-1" || out.Data["collected_at"] != "2026-11-22T12:00:00Z" {
				t.Errorf("output %v", out.Data)
			}
			if cpu := system["cpu"].(map[string]any); cpu["percent"] != 93.5 || cpu["count"] != int64(4) || cpu["count_logical"] != int64(8) {
				t.Errorf("cpu %v", cpu)
			}
		})
	}
}

func TestContextAsks(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]host.Want{
		`{}`: {Include: []string{"cpu", "memory", "disk"}, Paths: []string{"/"}, TopProcesses: 5},
		`{"include": ["disk"], "disk_path": "/var"}`:                 {Include: []string{"disk"}, Paths: []string{"/var"}, TopProcesses: 5},
		`{"include": ["disk"], "disk_paths": ["/"]}`:                 {Include: []string{"disk"}, Paths: []string{"/"}, List: true, TopProcesses: 5},
		`{"include": ["processes"], "top_processes": 9}`:             {Include: []string{"processes"}, Paths: []string{"/"}, TopProcesses: 9},
		`{"include": ["load", "inodes"], "disk_paths": ["/", "/b"]}`: {Include: []string{"load", "inodes"}, Paths: []string{"/", "/b"}, List: true, TopProcesses: 5},
	} {
		d := deps(t)
		d.Measure = func(_ context.Context, got host.Want) (host.Sample, error) {
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s asks for %+v", config, got)
			}
			return host.Sample{Failed: []string{"disk of /b cannot be read: gone."}}, nil
		}
		out, err := nodetest.Run(t, pick(t, nodes.All(d), "context"), config, nodetest.Input(&nodetest.World{}))
		if err != nil || len(out.Errors) != 1 {
			t.Errorf("%s: errors %q, %v", config, out.Errors, err)
		}
	}
}

func TestContextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := deps(t)
	d.Measure = nil // the real machine
	node, err := pick(t, nodes.All(d), "context").Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := node.Run(ctx, nodetest.Input(&nodetest.World{})); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestContextIssues(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"include": ["cpu", "gpu"]}`:                             `error bad_value /include/1`,
		`{"include": []}`:                                         `error bad_value /include`,
		`{"include": ["prometheus"]}`:                             `error bad_value /include/0`,
		`{"disk_path": "var"}`:                                    `error bad_value /disk_path: The path "var" is not absolute.`,
		`{"disk_paths": ["/", "b"]}`:                              `error bad_value /disk_paths/1`,
		`{"disk_path": "/", "disk_paths": ["/"]}`:                 `not both`,
		`{"include": ["cpu"], "disk_path": "/"}`:                  `warning bad_value /include: The disk path has no effect`,
		`{"include": ["cpu"], "top_processes": 3}`:                `warning bad_value /include: top_processes has no effect`,
		`{"top_processes": 0}`:                                    `error bad_value /top_processes`,
		`{"include": ["inodes"], "disk_path": "/"}`:               ``,
		`{"disk_path": "/var"}`:                                   ``,
		`{"include": ["processes"], "top_processes": 3}`:          ``,
		`{"include": ["load", "network", "host", "temperature"]}`: ``,
	} {
		got := issues(t, "context", config, nil)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\nissues: %s\nwant: %s", config, got, want)
		}
	}
}
