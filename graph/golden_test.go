package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/txtar"

	"penstock/db"
	"penstock/engine"
)

// TestGolden runs testdata/*.txtar: steps `<n>.graphql` with `<n>.variables` (JSON, optional) and the
// wanted `<n>.json`, on a fresh stack with the runs and alerts of seed. In variables, $run.ok, $run.failed and $incident
// stand for ids. A comment line "as: <caller>" names the caller (admin if absent); "at rest" stops the
// engine first, "at rest from <n>" before that step, and then every step also pins the number of SQL statements.
// -update rewrites.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runGolden(t, file, archive)
		})
	}
}

func runGolden(t *testing.T, file string, archive *txtar.Archive) {
	s := start(t)
	stand := s.seed()
	as := "admin"
	if m := regexp.MustCompile(`(?m)^as: (\w+)$`).FindSubmatch(archive.Comment); m != nil {
		as = string(m[1])
	}
	rest, atRest := regexp.MustCompile(`at rest(?: from (\S+))?`).FindSubmatch(archive.Comment), false
	section := func(name string) *txtar.File {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			return nil
		}
		return &archive.Files[i]
	}
	for _, f := range slices.Clone(archive.Files) {
		step, ok := strings.CutSuffix(f.Name, ".graphql")
		if !ok {
			continue
		}
		if rest != nil && !atRest && (len(rest[1]) == 0 || string(rest[1]) == step) {
			s.stopEngine()
			atRest = true
		}
		variables := json.RawMessage("{}")
		if v := section(step + ".variables"); v != nil {
			variables = json.RawMessage(stand.Replace(string(v.Data)))
		}
		body := encode(map[string]any{"query": stand.Replace(string(f.Data)), "variables": variables})
		before := s.statements.Load()
		r := s.do(http.MethodPost, "", string(body), sendJSON, "Authorization: Bearer "+as)
		var got bytes.Buffer
		if atRest {
			fmt.Fprintf(&got, "// %d statements\n", s.statements.Load()-before)
		}
		if err := json.Indent(&got, r.Body, "", "  "); err != nil {
			t.Fatalf("%s: %d %s", step, r.Status, r.Body)
		}
		got.WriteByte('\n')
		text := mask(got.String())
		want := section(step + ".json")
		switch {
		case *update && want != nil:
			want.Data = []byte(text)
		case *update:
			at := slices.IndexFunc(archive.Files, func(g txtar.File) bool { return g.Name == f.Name })
			for at+1 < len(archive.Files) && strings.HasPrefix(archive.Files[at+1].Name, step+".") {
				at++
			}
			archive.Files = slices.Insert(archive.Files, at+1, txtar.File{Name: step + ".json", Data: []byte(text)})
		case want == nil:
			t.Errorf("step %s has no %s.json", step, step)
		case string(want.Data) != text:
			t.Errorf("step %s: got\n%s\nwant\n%s", step, text, want.Data)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// mask hides what differs from run to run.
func mask(text string) string {
	for _, m := range []struct{ pattern, with string }{
		{`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`, "<uuid>"},
		{`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"`, `"<time>"`},
		{`"(id|deletedId)": "[A-Za-z0-9_-]{16,}"`, `"$1": "<id>"`},
		{`"(cursor|startCursor|endCursor)": "([a-z]+)\.[A-Za-z0-9_-]+"`, `"$1": "$2.<cursor>"`},
		{`"(durationMs|duration_ms)": \d+`, `"$1": 0`},
		{`"prefix": "pst_[A-Za-z0-9_-]{6}"`, `"prefix": "<prefix>"`},
		{`"checksum": "[0-9a-f]{64}"`, `"checksum": "<sha256>"`},
		{`"errorId": "[A-Z2-7]+"`, `"errorId": "<error>"`},
	} {
		text = regexp.MustCompile(m.pattern).ReplaceAllString(text, m.with)
	}
	return text
}

// tell stores a message that was sent and one that was given up, of the run.
func (s *stack) tell(run *db.Run) {
	s.t.Helper()
	w := db.RunWrite{RunID: run.ID, Epoch: run.Epoch}
	for i, status := range []db.NotificationStatus{db.NotificationSent, db.NotificationDead} {
		at := time.Date(2026, 11, 22, 12, 0, i, 0, time.UTC)
		m := db.NotificationMessage{
			ID: uuid.Must(uuid.NewV7()).String(), RunID: run.ID, NodeID: []string{"page", "mail"}[i], DefinitionName: run.DefinitionName,
			IncidentID: run.IncidentID, Occurrence: 1, Revision: 1, Channel: []string{"ops", "mail"}[i], Driver: []string{"slack", "email"}[i],
			IdempotencyKey: "key", Kind: db.NotificationTrigger, Title: "DiskFull on db1", Severity: db.SeverityCritical, Status: status,
			Attempts: 1, MayHaveArrived: true, CreatedAt: at, UpdatedAt: at,
		}
		a := db.NotificationAttempt{MessageID: m.ID, Number: 1, StartedAt: at, FinishedAt: at.Add(time.Second), Outcome: db.AttemptSent, Request: "POST hooks.slack.com/…, 812 bytes", ResponseStatus: 200, Response: "ok"}
		if status == db.NotificationSent {
			m.SentAt, m.ProviderID = at, "C1:2"
		} else {
			m.EndedAt, m.Reason = at, "The target timed out."
			a.Outcome, a.FinishedAt, a.Request, a.ResponseStatus, a.Response = db.AttemptUnknown, time.Time{}, "", 0, ""
		}
		w.Messages, w.Attempts = append(w.Messages, m), append(w.Attempts, a)
	}
	if err := s.store.WriteRun(w).Wait(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// seed makes two definitions, runs of them that ended, and an incident with two alerts and two messages.
func (s *stack) seed() *strings.Replacer {
	s.t.Helper()
	s.define("echo", `[{"id":"first","type":"echo"},{"id":"second","type":"talk"}]`)
	s.define("broken", `[{"id":"fails","type":"fail"},{"id":"never","type":"echo"}]`)
	s.define("intake", `[{"id":"take","type":"ingest"}]`)
	ok, failed := s.begin("echo"), s.begin("broken")
	s.finish(ok)
	s.finish(failed)
	alert := `{"version":"4","groupKey":"g","status":"firing","receiver":"r","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am","truncatedAlerts":0,"alerts":[
		{"status":"firing","labels":{"alertname":"DiskFull","instance":"db1:9100","severity":"critical","device":"sda"},"annotations":{"summary":"Disk is full"},"startsAt":"2026-11-22T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph","fingerprint":"f1"},
		{"status":"firing","labels":{"alertname":"DiskFull","instance":"db1:9100","severity":"warning","device":"sdb"},"annotations":{"summary":"Disk is nearly full"},"startsAt":"2026-11-22T10:00:01Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph","fingerprint":"f2"}]}`
	accepted, err := s.engine.Receive(s.t.Context(), engine.Inbound{
		Definition: "intake", Source: "alertmanager", ContentType: mediaJSON, Header: http.Header{}, Body: []byte(alert), Actor: "seed",
	})
	if err != nil || accepted.RunID == nil {
		s.t.Fatalf("receive: %v", err)
	}
	s.finish(*accepted.RunID)
	run, err := s.store.Run(s.t.Context(), *accepted.RunID)
	if err != nil || run.IncidentID == "" {
		s.t.Fatalf("the run has no incident: %v", err)
	}
	s.tell(run)
	return strings.NewReplacer("$run.ok", ok, "$run.failed", failed, "$run.intake", run.ID, "$incident", run.IncidentID)
}
