package nodes

import (
	"fmt"
	"strings"

	"penstock/engine"
	"penstock/engine/expr"
	"penstock/nodes/host"
)

// contextTexts are the results of check nodes and the figures of context nodes that no transform has taken, newest first.
func contextTexts(in engine.Input) []string {
	var sections []string
	taken := takenByTransforms(in)
	for _, u := range in.Upstream {
		if u.Type == "check" && !taken[u.NodeID] {
			sections = append(sections, checkText(u.Output))
		}
		system, ok := u.Output["system"].(map[string]any)
		if !ok || u.Type != "context" || taken[u.NodeID] {
			continue
		}
		machine := str(u.Output, "host")
		head := "Figures of " + machine + ":"
		if about := str(in.Incident, "host"); about != "" && !sameHost(about, machine) {
			head = fmt.Sprintf("Figures of %s, where Penstock runs (not of %s):", machine, about)
		}
		lines := []string{head}
		for _, metric := range host.Metrics {
			for _, part := range entries(system[metric]) {
				lines = append(lines, figure(metric, part))
			}
		}
		if processes, ok := system["processes"].([]any); ok && len(processes) > 0 {
			lines = append(lines, "top processes: "+processText(processes))
		}
		sections = append(sections, paragraph(lines))
	}
	return sections
}

// checkText lists the checks that are not ok, or says that all are.
func checkText(output map[string]any) string {
	checks, _ := output["checks"].([]any) // none of a node that failed or was skipped
	list := entries(checks)
	lines := []string{"Checks by " + str(output, "host") + ":"}
	for _, c := range list {
		if status := str(c, "status"); status != checkOK {
			lines = append(lines, fmt.Sprintf("%s is %s: %s", str(c, "name"), status, str(c, "message")))
		}
	}
	switch {
	case len(list) == 0:
		return ""
	case len(lines) == 1:
		lines = append(lines, fmt.Sprintf("%d of %[1]d ok", len(list)))
	}
	return paragraph(lines)
}

// sameHost compares names with and without their domain.
func sameHost(a, b string) bool {
	short := func(s string) string { name, _, _ := strings.Cut(strings.ToLower(s), "."); return name }
	return strings.EqualFold(a, b) || short(a) == short(b)
}

// entries are the objects of a metric: one, or those of a list.
func entries(v any) []map[string]any {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []map[string]any
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			out = append(out, object)
		}
	}
	return out
}

// figure is one metric in one line, "" for those that are written in another way.
func figure(metric string, v map[string]any) string {
	f := func(key string) string { return expr.Text(v[key]) }
	if problem := str(v, "error"); problem != "" {
		return strings.TrimSpace(metric+" "+f("path")) + ": " + problem
	}
	switch metric {
	case "cpu":
		return fmt.Sprintf("CPU %s %% of %s processors", f("percent"), f("count_logical"))
	case "memory":
		line := fmt.Sprintf("memory %s %%, %s of %s GB available", f("percent"), f("available_gb"), f("total_gb"))
		if number(v, "swap_total_gb") > 0 {
			line += fmt.Sprintf(", swap %s %%", f("swap_percent"))
		}
		return line
	case "disk":
		return fmt.Sprintf("disk %s %s %%, %s of %s GB free", f("path"), f("percent"), f("free_gb"), f("total_gb"))
	case "inodes":
		return fmt.Sprintf("inodes of %s %s %%, %s free", f("path"), f("percent"), f("free"))
	case "load":
		return fmt.Sprintf("load %s, %s, %s (1, 5, 15 minutes)", f("load1"), f("load5"), f("load15"))
	case "network":
		return fmt.Sprintf("network %s MB/s in, %s MB/s out", f("received_mb_per_s"), f("sent_mb_per_s"))
	case "host":
		return fmt.Sprintf("%s %s, up since %s", f("platform"), f("platform_version"), moment(f("booted_at")))
	case "temperature":
		return fmt.Sprintf("temperature %s %s °C", f("sensor"), f("celsius"))
	}
	return ""
}

func processText(list []any) string {
	var parts []string
	for _, p := range entries(list) {
		parts = append(parts, fmt.Sprintf("%s (pid %s) %s %% memory, %s %% CPU",
			expr.Text(p["name"]), expr.Text(p["pid"]), expr.Text(p["memory_percent"]), expr.Text(p["cpu_percent"])))
	}
	return strings.Join(parts, "; ")
}
