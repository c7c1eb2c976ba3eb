package expr_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/engine/expr"
)

// Nothing but the declared inputs is reachable (ACCEPTANCE E01).
func TestNothingElseIsReachable(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`env("PATH")`, `os.Getenv("PATH")`, `getenv("PATH")`, `$env`, `env.PATH`, `file("/etc/passwd")`, `readFile("/etc/passwd")`,
		`http.get("http://127.0.0.1")`, `net.lookup("x")`, `exec("id")`, `system("id")`, `import("os")`, `require("fs")`,
		`toJSON(payload)`, `json.encode(payload)`, `printf("%+v", payload)`, `reflect(payload)`, `payload.getClass()`,
		`payload.toString()`, `payload.constructor()`, `secrets.slack`, `.secrets`, `config.secret_key`, `vars`, `activation`,
		`unknown(1)`, `rand()`, `time.now()`, `sleep(1)`, `google.protobuf.Any{}`, `proto.getExt(payload, x)`, `item`, `self`, `this`,
		`payload.Vars`, `nodes.metrics.Secret`, `regex.replace("a", "b", "c")`, `base64.encode(b"x")`,
	} {
		program, err := expr.Compile(source, expr.Options{})
		if err == nil {
			_, err = program.Eval(t.Context(), sample)
		}
		if err == nil {
			t.Errorf("%s: is reachable", source)
		}
	}
}

// hostile are expressions that would take seconds or gigabytes if nothing stopped them (ACCEPTANCE E02).
func hostile() map[string]string {
	thousand := `lists.range(1000)`
	nested := "payload"
	for range 6 {
		nested = "[" + strings.Repeat("x,", 60) + "x]"
		nested = "[payload].map(x, " + nested + ")"
	}
	return map[string]string{
		"triple loop":              thousand + `.all(a, ` + thousand + `.all(b, ` + thousand + `.all(c, a + b + c >= 0)))`,
		"range of a billion":       `lists.range(1000000000).size()`,
		"loops of ranges":          `lists.range(10000).map(a, lists.range(10000)).size()`,
		"text doubled":             `[1,2,3,4,5,6,7,8,9,10].map(x, payload.big + payload.big + payload.big)`,
		"replace explodes":         `payload.big.replace("", payload.big)`,
		"replace explodes twice":   `payload.big.replace("a", "` + strings.Repeat("b", 3000) + `")`,
		"join explodes":            `lists.range(10000).map(x, "x").join(payload.big)`,
		"join of the same":         `[` + strings.Repeat("payload.big,", 300) + `payload.big].join("")`,
		"format of the same":       `"` + strings.Repeat("%s", 200) + `".format([` + strings.Repeat("payload.big,", 199) + `payload.big])`,
		"format precision":         `"%.1000000000f".format([1.0])`,
		"format many":              strings.Repeat(`"%s".format([payload]) + `, 100) + `""`,
		"indexOf quadratic":        `payload.big.indexOf(payload.big.substring(250000) + "b")`,
		"lastIndexOf quadratic":    `payload.big.lastIndexOf("b" + payload.big.substring(250000))`,
		"split to a million":       `payload.big.split("").size()`,
		"distinct quadratic":       `lists.range(10000).distinct().size()`,
		"sorted again and again":   `lists.range(10000).map(x, payload.numbers.sort()).size()`,
		"charAt of a big text":     `lists.range(10000).map(x, payload.big.charAt(x)).size()`,
		"reversed again and again": strings.Repeat(`payload.big.reverse() == "" || `, 100) + `false`,
		"compared again and again": strings.Repeat(`payload == payload && `, 180) + `true`,
		"in, again and again":      strings.Repeat(`"zz" in payload.texts || `, 150) + `false`,
		"pattern over a big text":  `payload.big.matches("(a|aa)+$")`,
		"patterns in a loop":       `lists.range(10000).exists(x, payload.medium.matches("(a?){60}b$"))`,
		"patterns in a row":        strings.Repeat(`payload.medium.matches("(a?){60}b$") || `, 90) + `false`,
		"10,000 wide pattern":      `payload.s.matches("(` + strings.Repeat("a|", 1900) + `b)")`,
		"20,000 parentheses":       strings.Repeat("(", 20000) + "1" + strings.Repeat(")", 20000),
		"4,000 parentheses":        strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000),
		"2,000 not":                strings.Repeat("!", 2000) + "true",
		"2,000 minus":              strings.Repeat("-", 2000) + "1",
		"20,000 plus":              "1" + strings.Repeat("+1", 20000),
		"lists in lists":           strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
		"loops in loops":           strings.Repeat("[1,2,3,4,5,6,7,8,9].all(x, ", 80) + "true" + strings.Repeat(")", 80),
		"shared parts":             nested,
		"shared parts compared":    `[payload].map(x, [x,x,x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x,x,x] == [x,x,x,x,x,x,x,x,x,x])`,
		"flatten":                  `[[payload.texts, payload.texts, payload.texts]].map(x, [x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).flatten(9)`,
		"lists added":              `payload.texts` + strings.Repeat(` + payload.texts`, 250),
		"quote":                    strings.Repeat(`strings.quote(payload.big).size() + `, 90) + `1`,
		"bytes and back":           strings.Repeat(`string(bytes(payload.big)).size() + `, 90) + `1`,
	}
}

func hostileVars() expr.Vars {
	vars := sample
	texts, numbers := make([]any, 10000), make([]any, 20000)
	for i := range texts {
		texts[i] = fmt.Sprintf("text number %d", i)
	}
	for i := range numbers {
		numbers[i] = int64((i * 7919) % 20011)
	}
	vars.Payload = map[string]any{
		"big": strings.Repeat("a", 512<<10), "medium": strings.Repeat("a", 16<<10), "s": "text",
		"texts": texts, "numbers": numbers,
	}
	return vars
}

// Not parallel: it measures time and memory.
func TestHostileExpressionsAreStopped(t *testing.T) {
	vars := hostileVars()
	for name, source := range hostile() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpu(t)
			program, err := expr.Compile(source, expr.Options{})
			compiled := cpu(t) - start
			if err == nil {
				_, err = program.Eval(t.Context(), vars)
			}
			took := cpu(t) - start
			runtime.ReadMemStats(&after)
			t.Logf("compiled %v, total %v, %d kB allocated, %.120v", compiled, took, (after.TotalAlloc-before.TotalAlloc)>>10, err)
			if took > limit {
				t.Errorf("took %v", took)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > memory {
				t.Errorf("allocated %d MB", allocated>>20)
			}
		})
	}
}

// limit is what a hostile expression may take, compiling included: 100 ms, and some for the garbage
// collector. It is processor time, so that a busy machine does not fail the test.
const limit = slowdown * 150 * time.Millisecond

// memory is what it may allocate in all, let alone at once.
const memory = 16 << 20 * (1 + slowdown/10)

func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestHostileTemplates(t *testing.T) {
	vars := hostileVars()
	for name, source := range map[string]string{
		"many holes that each run to the deadline": strings.Repeat(`{{ lists.range(1000).map(x, payload.numbers.sort()).size() }}`, 50),
		"10 MB of output":                          strings.Repeat(`{{ payload.big }}`, 10),
		"loops":                                    `{{ lists.range(1000).all(a, lists.range(1000).all(b, true)) }}`,
	} {
		template, err := expr.CompileTemplate(source)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		start := cpu(t)
		text, _, err := template.Render(t.Context(), vars)
		if took := cpu(t) - start; took > limit {
			t.Errorf("%s took %v (%v)", name, took, err)
		}
		if len(text) > expr.MaxText {
			t.Errorf("%s: %d bytes", name, len(text))
		}
	}
}

// FuzzCompile: whatever is written, compiling and evaluating end soon, without a panic.
func FuzzCompile(f *testing.F) {
	for _, source := range hostile() {
		f.Add(source)
	}
	f.Add(`nodes.metrics.output.cpu.percent > 90 ? "a" : alert.labels["team"]`)
	vars := hostileVars()
	f.Fuzz(func(t *testing.T, source string) {
		start := time.Now()
		program, err := expr.Compile(source, expr.Options{})
		if err != nil {
			if compile, ok := errors.AsType[*expr.CompileError](err); !ok || compile.Line < 1 || compile.Column < 1 || compile.Message == "" {
				t.Errorf("compile error without a position: %#v", err)
			}
			return
		}
		if _, err = program.Eval(context.Background(), vars); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Errorf("%s: %v", source, err)
		}
		if took := time.Since(start); took > slowdown*time.Second {
			t.Errorf("%s took %v", source, took)
		}
	})
}

// FuzzTemplate: a template without holes is its own text; one that compiles renders valid, bounded text.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"", "text", "{{ payload.s }}", "{{ '}}' }}", "{{ {'a': {}} }}", "{{", "}}", "{{ r'\\' }}", `{{ """ """ }}`, "{{ // }}\n1}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := expr.CompileTemplate(source)
		if err != nil {
			return
		}
		text, _, err := template.Render(context.Background(), sample)
		if err != nil {
			return
		}
		if len(text) > expr.MaxText {
			t.Errorf("%d bytes", len(text))
		}
		if !strings.Contains(source, "{{") && text != source {
			t.Errorf("%q became %q", source, text)
		}
	})
}
