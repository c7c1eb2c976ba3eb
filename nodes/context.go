package nodes

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"penstock/engine"
	"penstock/engine/definition"
	"penstock/nodes/host"
)

type contextConfig struct {
	Include      []string `json:"include,omitempty" jsonschema:"title=Include,enum=cpu,enum=memory,enum=disk,enum=processes,enum=load,enum=network,enum=host,enum=inodes,enum=temperature,minItems=1,uniqueItems=true,description=What to measure. Nothing else is. Without it: cpu\\, memory and disk."`
	DiskPath     string   `json:"disk_path,omitempty" jsonschema:"title=Disk path,minLength=1,default=/,description=A path on the file system to measure for disk and inodes."`
	DiskPaths    []string `json:"disk_paths,omitempty" jsonschema:"title=Disk paths,minItems=1,maxItems=20,uniqueItems=true,description=Several paths in place of disk_path; disk and inodes are then lists."`
	TopProcesses int      `json:"top_processes,omitempty" jsonschema:"title=Top processes,minimum=1,maximum=100,default=5,description=How many processes to list\\, those that hold most memory."`
}

const contextAbout = "Measures the machine that Penstock runs on. Output: system with cpu {percent, count, count_logical, per_cpu}, " +
	"memory {total_gb, available_gb, used_gb, percent, swap_total_gb, swap_used_gb, swap_percent}, disk {path, total_gb, used_gb, free_gb, percent} " +
	"or {path, error}, processes [{pid, name, cpu_percent, memory_percent}], load {load1, load5, load15}, network, host, inodes, temperature, as asked for; " +
	"host, collected_at and metrics_included. A GB is 1024³ bytes; a process that keeps one processor busy has 100 %. Runs within a second share one measurement."

func contextType(d Deps) engine.NodeType {
	return define(definition.Type{Name: "context", Title: "Context", Description: contextAbout}, checkContext,
		func(cfg contextConfig) (engine.Node, error) {
			w := host.Want{Include: cfg.Include, Paths: cfg.DiskPaths, List: len(cfg.DiskPaths) > 0, TopProcesses: cfg.TopProcesses}
			if len(w.Include) == 0 {
				w.Include = []string{"cpu", "memory", "disk"}
			}
			switch {
			case cfg.DiskPath != "":
				w.Paths = []string{cfg.DiskPath}
			case !w.List:
				w.Paths = []string{"/"}
			}
			if w.TopProcesses == 0 {
				w.TopProcesses = 5
			}
			return contextNode{w, d.Measure}, nil
		})
}

func checkContext(cfg contextConfig, c *definition.Checker) {
	absolute := func(at, path string) {
		if !filepath.IsAbs(path) {
			c.Error(at, definition.CodeBadValue, "The path %q is not absolute. Write it from the root, like /var/lib.", path)
		}
	}
	for i, path := range cfg.DiskPaths {
		absolute(fmt.Sprintf("/disk_paths/%d", i), path)
	}
	if cfg.DiskPath != "" {
		absolute("/disk_path", cfg.DiskPath)
	}
	if cfg.DiskPath != "" && len(cfg.DiskPaths) > 0 {
		c.Error("/disk_path", definition.CodeBadValue, "Write disk_path or disk_paths, not both.")
	}
	includes := func(metric string) bool {
		return slices.Contains(cfg.Include, metric) || len(cfg.Include) == 0 && metric == "disk"
	}
	if (cfg.DiskPath != "" || len(cfg.DiskPaths) > 0) && !includes("disk") && !includes("inodes") {
		c.Warn("/include", definition.CodeBadValue, "The disk path has no effect: include asks neither for disk nor for inodes.")
	}
	if cfg.TopProcesses != 0 && !includes("processes") {
		c.Warn("/include", definition.CodeBadValue, "top_processes has no effect: include does not ask for processes.")
	}
}

type contextNode struct {
	want    host.Want
	measure func(context.Context, host.Want) (host.Sample, error)
}

func (n contextNode) Run(ctx context.Context, _ engine.Input) (engine.Output, error) {
	sample, err := n.measure(ctx, n.want)
	if err != nil {
		return engine.Output{}, err
	}
	return engine.Output{Errors: sample.Failed, Data: map[string]any{
		"system": sample.System, "host": sample.Host,
		"collected_at": sample.At.UTC().Format(time.RFC3339Nano), "metrics_included": n.want.Include,
	}}, nil
}
