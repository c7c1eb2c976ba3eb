package local_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/drivers/ai"
	"penstock/drivers/ai/aitest"
	"penstock/drivers/ai/local"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestProvider(t *testing.T) {
	t.Parallel()
	aitest.Run(t, aitest.Suite{Kind: local.Kind})
}

func analyse(t testing.TB, config string, req ai.Request) *ai.Analysis {
	t.Helper()
	p, err := local.Kind(ai.Deps{}).Build(t.Context(), json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	_, result, err := aitest.Collect(p.Analyze(t.Context(), req))
	if err != nil {
		t.Fatal(err)
	}
	aitest.CheckResult(t, result)
	return result
}

// Every testdata/*.json is a request; beside it is the golden answer.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var req ai.Request
			d := json.NewDecoder(bytes.NewReader(raw))
			d.DisallowUnknownFields()
			if err := d.Decode(&req); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(analyse(t, `{}`, req)); err != nil {
				t.Fatal(err)
			}
			aitest.Golden(t, *update, name+".golden", out.Bytes())
		})
	}
}

func alert(name string) ai.Request {
	return ai.Request{Alerts: []map[string]any{{"name": name, "host": "web-1", "status": "firing", "severity": "warning"}}}
}

func TestNamesAreMatchedByWholeWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"HostUnusualDiskReadLatency":    "A disk is slow or failing",
		"DiskProblem":                   "A disk needs attention",
		"HostOutOfDiskSpace":            "A disk is filling up",
		"diskette drive jammed":         "diskette drive jammed fires",
		"CassandraNodeSlowCompaction":   "A service is slow",
		"Cassandra":                     "A database has a problem",
		"HostHighCpuLoad":               "The CPU is overloaded",
		"CPUThrottlingHigh":             "The CPU is overloaded",
		"HTTPLoadBalancerConfig":        "HTTPLoadBalancerConfig fires",
		"HostOutOfMemory":               "Memory ran out",
		"HostMemoryUnderPressure":       "Memory is nearly used up",
		"MemorialSiteChanged":           "MemorialSiteChanged fires",
		"KubePodCrashLooping":           "A container keeps crashing",
		"CrashLoopBackOff":              "A container keeps crashing",
		"KubePersistentVolumeFillingUp": "A disk is filling up",
		"HighVolumeOfRequests":          "HighVolumeOfRequests fires",
		"NodeFilesystemFillingUp":       "A disk is filling up",
		"HostOutOfInodes":               "A file system runs out of inodes",
		"SslCertificateExpired":         "A TLS certificate needs attention",
		"CertainlyNot":                  "CertainlyNot fires",
		"InstanceDown":                  "A service or machine is down",
		"DowntimePlanned":               "DowntimePlanned fires",
		"PostgreSQLReplicationLag":      "Database replication is behind or broken",
		"PostgresqlTooManyConnections":  "The database runs out of connections or waits for locks",
		"PostgreSQLUnhappy":             "A database has a problem",
		"Http5xxErrors":                 "A service answers with errors",
		"high p99 latency":              "A service is slow",
		"KafkaConsumerLag":              "A queue is backing up",
		"DNSResolutionFailed":           "Names cannot be resolved",
		"PacketLossHigh":                "The network has a problem",
		"Backup failed":                 "A backup failed or is missing",
		"Festplatte voll":               "Festplatte voll fires",
	} {
		got := analyse(t, `{}`, alert(name))
		if len(got.Recommendations) != 1 {
			t.Errorf("%s: %d recommendations", name, len(got.Recommendations))
			continue
		}
		if title := got.Recommendations[0].Title; title != want+" on web-1" {
			t.Errorf("%s: title %q, want %q", name, title, want+" on web-1")
		}
	}
}

func figures(cpu, memory, disk float64) ai.Request {
	return ai.Request{Context: []ai.NodeOutput{{NodeID: "m", Type: "context", Output: map[string]any{"system": map[string]any{
		"cpu": map[string]any{"percent": cpu}, "memory": map[string]any{"percent": memory}, "disk": map[string]any{"path": "/", "percent": disk},
	}}}}}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, config string
		req          ai.Request
		want         string // priorities and types
	}{
		{"below all", `{}`, figures(79.9, 84.9, 84.9), ""},
		{"at the warnings", `{}`, figures(80, 85, 85), "medium memory, medium disk, medium cpu"},
		{"at the limits", `{}`, figures(90, 95, 95), "critical memory, critical disk, high cpu"},
		{"own limits", `{"cpu_warning": 10, "cpu_critical": 20, "memory_warning": 99, "disk_warning": 99}`, figures(25, 90, 90), "high cpu"},
	} {
		var got []string
		for _, r := range analyse(t, c.config, c.req).Recommendations {
			got = append(got, r.Priority+" "+r.Type)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestOnlySafeNamesGetIntoCommands(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"$(reboot)", "web; reboot", "-oProxyCommand=x", "a|b", "`id`", "x y", "web\nreboot", "é"} {
		req := ai.Request{Alerts: []map[string]any{{
			"name": "KubePodCrashLooping", "host": bad, "status": "firing",
			"labels": map[string]any{"namespace": bad, "pod": "shop-1", "mountpoint": bad},
		}}}
		actions := strings.Join(analyse(t, `{}`, req).Recommendations[0].Actions, "\n")
		if strings.Contains(actions, bad) || !strings.Contains(actions, "kubectl -n <namespace> describe pod shop-1") {
			t.Errorf("%q: %s", bad, actions)
		}
	}
}

func TestFiguresBelongToTheAlertOfTheirMachine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alert, machine string
		together       bool
	}{
		{"app-7", "app-7", true},
		{"app-7", "APP-7.example.com", true},
		{"app-7.example.com", "app-7", true},
		{"app-7.example.com", "app-7.example.org", false},
		{"app-7", "app-70", false},
		{"app-7", "", false},
		{"", "app-7", false},
		{"", "", false},
	} {
		req := figures(97, 1, 1)
		req.Context[0].Output["host"] = c.machine
		req.Alerts = []map[string]any{{"name": "HostHighCpuLoad", "host": c.alert, "status": "firing", "severity": "warning"}}
		if got := len(analyse(t, `{}`, req).Recommendations); (got == 1) != c.together {
			t.Errorf("alert of %q, figures of %q: %d recommendations", c.alert, c.machine, got)
		}
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	got := analyse(t, `{}`, ai.Request{Payload: map[string]any{"reason": "by hand"}})
	if got.Summary != "No finding." || len(got.Recommendations) != 0 || got.Recommendations == nil {
		t.Errorf("%+v", got)
	}
}
