package expr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"

	"penstock/engine/expr"
	"penstock/fault"
)

var sample = expr.Vars{
	Payload: map[string]any{
		"n": int64(91), "f": 91.5, "s": "text", "none": nil, "list": []any{int64(1), int64(2)},
		"a b": "spaced", "big": strings.Repeat("a", 1<<20),
		"alerts": []any{map[string]any{"severity": "critical"}, map[string]any{"severity": "info"}},
	},
	Alert:  map[string]any{"labels": map[string]any{"team": "db", "host": "web-1"}},
	Alerts: []map[string]any{{"labels": map[string]any{"team": "db"}}},
	Run:    map[string]any{"id": "0190", "source": "alertmanager"},
	Nodes: map[string]any{
		"metrics": expr.NodeVar(map[string]any{"cpu": map[string]any{"percent": 91.5}}, nil, false),
		"broken":  expr.NodeVar(nil, []string{"timeout", "again"}, false),
		"if":      expr.NodeVar("x", nil, true),
	},
	Now:  time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	Item: map[string]any{"priority": "high"},
}

func TestEval(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source string
		want   any
	}{
		{`payload.n > 90`, true},
		{`payload.n > 90.5`, true},
		{`payload.f > 90`, true},
		{`payload.n == 91.0`, true},
		{`nodes.metrics.output.cpu.percent >= 91.5`, true},
		{`nodes["broken"].has_errors`, true},
		{`nodes.broken.errors`, []any{"timeout", "again"}},
		{`nodes.metrics.has_errors || nodes.if.skipped`, true},
		{`incident == null`, true},
		{`incident != null && incident.severity == "critical"`, false},
		{`incident.?severity.orValue("none")`, "none"},
		{`payload.?nothing.?deeper.orValue(7)`, int64(7)},
		{`payload.?nothing`, nil},
		{`payload["a b"]`, "spaced"},
		{`has(payload.s) && !has(payload.zz)`, true},
		{`payload.alerts.filter(a, a.severity == "critical").size()`, int64(1)},
		{`payload.alerts.map(a, a.severity).join("+")`, "critical+info"},
		{`alerts.exists(a, a.labels.team in ["db", "web"])`, true},
		{`alert.labels.host.matches("^web-[0-9]+$")`, true},
		{`matches(alert.labels.host, r"\d$")`, true},
		{`"%.1f %%".format([payload.f])`, "91.5 %"},
		{`math.round(payload.f)`, 92.0},
		{`"a,b".split(",")`, []any{"a", "b"}},
		{`"aXbX".replace("X", "--")`, "a--b--"},
		{`"hello".indexOf("l")`, int64(2)},
		{`[3, 1, 2].sort()`, []any{int64(1), int64(2), int64(3)}},
		{`[1, 1, 2].distinct()`, []any{int64(1), int64(2)}},
		{`[[1], [2]].flatten()`, []any{int64(1), int64(2)}},
		{`{"a": payload.n, 1: true}`, map[string]any{"a": int64(91), "1": true}},
		{`now > timestamp("2026-01-01T00:00:00Z")`, true},
		{`now`, "2026-11-22T12:00:00Z"},
		{`now - duration("90m") `, "2026-11-22T10:30:00Z"},
		{`duration("90m")`, "1h30m0s"},
		{`18446744073709551615u`, "18446744073709551615"},
		{`type(1)`, "int"},
		{`payload.none`, nil},
	} {
		program, err := expr.Compile(c.source, expr.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		got, err := program.Eval(t.Context(), sample)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s = %#v, %v; want %#v", c.source, got, err, c.want)
		}
	}
}

func TestItem(t *testing.T) {
	t.Parallel()
	program, err := expr.Compile(`item.priority == "high"`, expr.Options{Kind: expr.Bool, Item: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := program.Eval(t.Context(), sample); got != true || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := expr.Compile(`item.priority`, expr.Options{}); err == nil {
		t.Error("item must exist only where it is asked for")
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for source, key := range map[string]string{
		`payload.zz`: "zz", `payload.zz.deeper`: "zz", `payload.none.x`: "x", `payload.s.x`: "x",
		`incident.severity`: "severity", `payload.list[9]`: "9", `payload.list[-1]`: "-1",
		`nodes.elsewhere.output`: "elsewhere", `payload["no key"]`: "no key", `payload.zz > 1`: "zz",
	} {
		program, err := expr.Compile(source, expr.Options{})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		_, err = program.Eval(t.Context(), sample)
		missing, ok := errors.AsType[*expr.Missing](err)
		if !ok || missing.Key != key || !fault.Is(err, fault.Unprocessable) {
			t.Errorf("%s: %v; want a readable missing key %q", source, err, key)
		}
	}
}

func TestEvalErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source, want string
		kind         expr.Kind
	}{
		{`payload.n + payload.f`, "do not mix", expr.Any},
		{`payload.n / 0`, "division by zero", expr.Any},
		{`payload.s`, "true or false is needed", expr.Bool},
		{`payload.n`, "true, false or a text is needed", expr.BoolOrString},
		{`payload.list["x"]`, "unsupported index", expr.Any},
	} {
		program, err := expr.Compile(c.source, expr.Options{Kind: c.kind})
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		_, err = program.Eval(t.Context(), sample)
		if !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Of(err).Message, c.want) {
			t.Errorf("%s: %v; want %q", c.source, err, c.want)
		}
		if _, ok := errors.AsType[*expr.Missing](err); ok {
			t.Errorf("%s: nothing is missing", c.source)
		}
	}
	t.Run("the caller's end is the caller's error", func(t *testing.T) {
		t.Parallel()
		program, err := expr.Compile(`lists.range(9000).all(x, x >= 0)`, expr.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := program.Eval(ctx, sample); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source       string
		line, column int
		want         string
		kind         expr.Kind
	}{
		{``, 1, 1, "empty", expr.Any},
		{`  `, 1, 1, "empty", expr.Any},
		{`payload.n > foo`, 1, 13, "undeclared reference to 'foo'; available: payload, alert, alerts, incident, run, nodes, now", expr.Any},
		{"payload.n\n  > foo", 2, 5, "undeclared reference to 'foo'", expr.Any},
		{`env("HOME")`, 1, 4, `no function "env"`, expr.Any},
		{`payload.n.exec()`, 1, 15, `no function "exec"`, expr.Any},
		{`1 +`, 1, 4, "unexpected end of the expression", expr.Any},
		{`a b`, 1, 3, "unexpected 'b'", expr.Any},
		{`payload.s == "abc`, 1, 14, "quote missing", expr.Any},
		{`"a" + 1`, 1, 5, "+ does not work on (string, int)", expr.Any},
		{`alerts.severity`, 1, 7, "does not support field selection", expr.Any},
		{`"text"`, 1, 1, "gives a text, but true or false is needed", expr.Bool},
		{`1 + 1`, 1, 1, "gives a number, but true, false or a text is needed", expr.BoolOrString},
		{`payload.s.matches(payload.p)`, 1, 26, "must be a quoted text", expr.Any},
		{`payload.s.matches("(")`, 1, 19, "pattern is not valid", expr.Any},
		{`payload.s.matches("(a{100}){100}")`, 1, 19, "", expr.Any},
		{`payload.s.matches("(a{50}){20}")`, 1, 19, "pattern is too big", expr.Any},
		{`nodes.metrics.outptu.cpu`, 1, 14, `nodes.metrics has no key "outptu"; available: output, errors, has_errors, skipped`, expr.Any},
		{`nodes.in.output`, 1, 7, "cannot read '.in'", expr.Any},
		{strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300), 1, 0, "nested too deep", expr.Any},
		{`"` + strings.Repeat("a", expr.MaxSource) + `"`, 1, 1, "longer than 4096 bytes", expr.Any},
		{"\"\xff\"", 1, 1, "not valid UTF-8", expr.Any},
	} {
		_, err := expr.Compile(c.source, expr.Options{Kind: c.kind})
		compile, ok := errors.AsType[*expr.CompileError](err)
		if !ok {
			t.Errorf("%.40s: got %v, want a compile error", c.source, err)
			continue
		}
		if compile.Line != c.line || c.column > 0 && compile.Column != c.column || !strings.Contains(compile.Message, c.want) {
			t.Errorf("%.40s: %v; want line %d, column %d: …%s…", c.source, err, c.line, c.column, c.want)
		}
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	program, err := expr.Compile(`nodes.a.has_errors || nodes["b"].skipped || nodes.?c.has_errors.orValue(false) ||
		nodes[?"d"].hasValue() || has(nodes.e) || [1].exists(x, nodes.f.output.y == x) || nodes.a.skipped`, expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(program.Nodes(), ""); got != "abcdef" {
		t.Errorf("got %q", got)
	}
}

func TestIsBool(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{`payload.n > 1`: true, `payload.s`: false, `"x"`: false, `payload.a || payload.b`: true} {
		program, err := expr.Compile(source, expr.Options{Kind: expr.BoolOrString})
		if err != nil {
			t.Fatal(err)
		}
		if program.IsBool() != want {
			t.Errorf("%s: got %v", source, program.IsBool())
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`payload.s`: "", `"x"`: "x", `"x" + payload.s`: "", `payload.a ? "x" : "y"`: "x y", `payload.a ? "x" : payload.b ? payload.s : "z"`: "x z",
		`payload.?s.orValue("none")`: "none", `payload.s == "x"`: "",
	} {
		program, err := expr.Compile(source, expr.Options{Kind: expr.BoolOrString})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(program.Texts(), " "); got != want {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	type nested struct {
		Name  string   `json:"name"`
		Count int      `json:"count"`
		Tags  []string `json:"tags"`
	}
	in := map[string]any{
		"i": json.Number("91"), "f": json.Number("91.5"), "whole": json.Number("91.0"), "huge": json.Number("1e400"),
		"digits": json.Number("123456789012345678901234567890"), "list": []string{"a"}, "int": 3,
		"struct": nested{"x", 2, []string{"t"}}, "labels": map[string]string{"k": "v"},
		"structs": []nested{{Name: "y"}}, "nil": nil, "func": func() {},
	}
	want := map[string]any{
		"i": int64(91), "f": 91.5, "whole": 91.0, "huge": "1e400",
		"digits": "123456789012345678901234567890", "list": []any{"a"}, "int": int64(3),
		"struct": map[string]any{"name": "x", "count": int64(2), "tags": []any{"t"}}, "labels": map[string]any{"k": "v"},
		"structs": []any{map[string]any{"name": "y", "count": int64(0), "tags": nil}}, "nil": nil, "func": nil,
	}
	if got := expr.Plain(in); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	program, err := expr.Compile(`alerts.filter(a, a.labels.team.matches("d.")).size() == 1`, expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got, err := program.Eval(t.Context(), sample); got != true || err != nil {
					t.Errorf("got %v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// slowList is a list that keeps its reader waiting a few times, as a busy machine does.
type slowList struct {
	traits.Lister
	waits *int
}

func (l slowList) Iterator() traits.Iterator {
	if *l.waits > 0 {
		*l.waits--
		time.Sleep(2 * expr.Deadline)
	}
	return l.Lister.Iterator()
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	program, err := expr.Compile(`payload.all(x, x >= 0)`, expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list := types.NewDynamicList(types.DefaultTypeAdapter, make([]int64, 500))
	t.Run("a machine that is busy for a moment fails nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			if got, err := program.Eval(t.Context(), expr.Vars{Payload: slowList{list, new(2)}}); got != true || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	})
	t.Run("what is always slow is stopped", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, err := program.Eval(t.Context(), expr.Vars{Payload: slowList{list, new(1000)}})
			if !fault.Is(err, fault.Unprocessable) || !strings.Contains(err.Error(), "longer than 50ms") {
				t.Errorf("got %v", err)
			}
		})
	})
}

func BenchmarkEval(b *testing.B) {
	program, err := expr.Compile(`nodes.metrics.output.cpu.percent > 90 && alert.labels.team == "db"`, expr.Options{Kind: expr.Bool})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := program.Eval(b.Context(), sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := expr.Compile(`nodes.metrics.output.cpu.percent > 90 && alert.labels.team == "db"`, expr.Options{Kind: expr.Bool}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	vars := expr.Vars{Alert: map[string]any{"labels": map[string]any{"team": "db"}, "name": "HighCPU"}, Payload: map[string]any{"a.b": int64(1)}}
	for source, want := range map[string]string{
		`alert.labels.team == 'db' && alert.name != alert.labels.team`: "alert.labels.team=db alert.name=HighCPU",
		`alert.labels["team"] == alert.?zz.?y.orValue('')`:             "alert.labels.team=db alert.zz.y=missing",
		`has(alert.labels.owner) || payload["a.b"] > 0`:                "alert.labels.owner=missing payload.a.b=1",
		`incident.severity in ['critical', alert.name]`:                "incident.severity=missing alert.name=HighCPU",
		`alerts.exists(a, a.name == alert.name)`:                       "alerts=[] alert.name=HighCPU",
		`true`:                                                         "",
	} {
		program, err := expr.Compile(source, expr.Options{Kind: expr.Bool})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range program.Reads(vars) {
			if r.Missing {
				r.Value = "missing"
			}
			got = append(got, fmt.Sprintf("%s=%v", r.Path, r.Value))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s reads %q, want %q", source, got, want)
		}
	}
}
