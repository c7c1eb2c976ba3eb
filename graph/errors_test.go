package graph

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"penstock/auth"
	"penstock/fault"
)

// failing is a schema whose field viewer returns err or panics with it.
type failing struct {
	QueryResolver
	do func(context.Context) (*auth.Principal, error)
}

func (f failing) Viewer(ctx context.Context) (*auth.Principal, error) { return f.do(ctx) }

type failingRoot struct {
	ResolverRoot
	query QueryResolver
}

func (r failingRoot) Query() QueryResolver { return r.query }

func TestErrors(t *testing.T) {
	t.Parallel()
	secret := "dial tcp 10.1.2.3:5432: password canary-4711"
	for name, c := range map[string]struct {
		do         func(context.Context) (*auth.Principal, error)
		code, text string
	}{
		"an unmarked error": {func(context.Context) (*auth.Principal, error) { return nil, errors.New(secret) }, codeInternal, "internal error"},
		"a panic":           {func(context.Context) (*auth.Principal, error) { panic(secret) }, codeInternal, "internal error"},
		"a fault with a cause": {func(context.Context) (*auth.Principal, error) {
			return nil, fault.Wrap(errors.New(secret), fault.Conflict, "Try again.")
		}, codeConflict, "Try again."},
		"an internal fault": {func(context.Context) (*auth.Principal, error) {
			return nil, fault.New(fault.Internal, "%s", secret)
		}, codeInternal, "internal error"},
		"unavailable": {func(context.Context) (*auth.Principal, error) {
			return nil, &fault.Error{Code: fault.Unavailable, Message: "Busy.", After: 1500 * time.Millisecond, Err: errors.New(secret)}
		}, codeUnavailable, "Busy."},
		"too slow": {func(ctx context.Context) (*auth.Principal, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, codeTimeout, "The operation took too long. Ask for less at once."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logBuffer{}
			root := failingRoot{query: failing{do: c.do}}
			h := newHandler(NewExecutableSchema(Config{Resolvers: root}), Options{Limits: Limits{Time: 50 * time.Millisecond}, Log: textLog(log)},
				func(ctx context.Context) context.Context { return ctx })
			r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(`{"query":"{ viewer { name } }"}`))
			r.Header.Set("Content-Type", mediaJSON)
			r = r.WithContext(auth.With(t.Context(), auth.Principal{Kind: auth.KindToken, ID: "x", Scopes: []auth.Scope{auth.Read}}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			var got result
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if got.code() != c.code || got.Errors[0].Message != c.text || string(got.Data) != `{"viewer":null}` {
				t.Errorf("%s", w.Body)
			}
			if strings.Contains(w.Body.String(), "canary") {
				t.Errorf("the cause is shown: %s", w.Body)
			}
			if id, _ := got.Errors[0].Extensions["errorId"].(string); c.code == codeInternal && (id == "" || !strings.Contains(log.String(), id)) {
				t.Errorf("error %q is not in the log: %s", id, log)
			}
			if c.code == codeUnavailable && got.Errors[0].Extensions["retryAfter"] != 2.0 {
				t.Errorf("%s", w.Body)
			}
		})
	}
}

// TestErrorsQuoteNoValues sends a value where another type belongs: the answer says so without it.
func TestErrorsQuoteNoValues(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, c := range map[string]struct {
		query     string
		variables map[string]any
		code      string
	}{
		"text for a number":           {`{ runs(first: "canary") { totalCount } }`, nil, "GRAPHQL_VALIDATION_FAILED"},
		"text for an enum":            {`{ runs(filter: {status: ["canary"]}) { totalCount } }`, nil, "GRAPHQL_VALIDATION_FAILED"},
		"a name for an enum":          {`{ runs(filter: {status: [canary]}) { totalCount } }`, nil, "GRAPHQL_VALIDATION_FAILED"},
		"a number for text":           {`mutation { createUser(input: {name: "a", role: ADMIN, password: 4711canary}) { userErrors { code } } }`, nil, ""},
		"a list for text":             {`mutation { createUser(input: {name: "a", role: ADMIN, password: {a: "canary"}}) { userErrors { code } } }`, nil, "GRAPHQL_VALIDATION_FAILED"},
		"a variable for an enum":      {`query($s: [RunStatus!]) { runs(filter: {status: $s}) { totalCount } }`, map[string]any{"s": "canary"}, "GRAPHQL_VALIDATION_FAILED"},
		"a variable for a number":     {`query($n: Int) { runs(first: $n) { totalCount } }`, map[string]any{"n": "canary"}, "GRAPHQL_VALIDATION_FAILED"},
		"a fraction for a number":     {`query($n: Int) { runs(first: $n) { totalCount } }`, map[string]any{"n": 47.11}, "GRAPHQL_VALIDATION_FAILED"},
		"a variable for a time":       {`query($t: DateTime) { runs(filter: {createdAfter: $t}) { totalCount } }`, map[string]any{"t": "canary"}, codeBadUserInput},
		"a variable for a duration":   {`mutation($d: Duration) { createToken(input: {name: "a", scopes: [READ], expiresIn: $d}) { secret } }`, map[string]any{"d": "canary"}, codeBadUserInput},
		"a duration of 100,000 years": {`mutation { createToken(input: {name: "a", scopes: [READ], expiresIn: "P100000Y"}) { secret } }`, nil, codeBadUserInput},
		"the name of no operation":    {`query a { viewer { name } }`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(map[string]any{"query": c.query, "variables": c.variables, "operationName": map[bool]string{true: "canary"}[c.code == ""]})
			if err != nil {
				t.Fatal(err)
			}
			r := s.do(http.MethodPost, "", string(body), "Content-Type: application/json")
			if len(r.Errors) == 0 || strings.Contains(string(r.Body), "canary") || strings.Contains(string(r.Body), "4711") {
				t.Errorf("%s", r.Body)
			}
			if c.code != "" && r.code() != c.code {
				t.Errorf("code %q, want %q: %s", r.code(), c.code, r.Body)
			}
		})
	}
	if r := s.query("read", `{ runs(filter: {tags: 1}) { totalCount } }`, nil); !strings.Contains(r.Errors[0].Message, `"tags"`) {
		t.Errorf("names help: %s", r.Body)
	}
}

// TestErrorsAreFew cuts the errors of an answer, first ones of the document first.
func TestErrorsAreFew(t *testing.T) {
	t.Parallel()
	s := start(t)
	var query strings.Builder
	for i := range 9 {
		query.WriteString(string(rune('a'+i)) + ": runs(after: \"x\") { totalCount } ")
	}
	r := s.query("read", "{"+query.String()+"}", nil)
	var paths []any
	for _, e := range r.Errors {
		paths = append(paths, e.Path[0])
	}
	if got := encode(paths); string(got) != `["a","b","c","d","e"]` {
		t.Errorf("%s", got)
	}
}

// TestDeadStore asks when the store cannot answer: words, no SQL, no driver text.
func TestDeadStore(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.stopEngine()
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.query("read", `{ runs { nodes { id } } }`, nil)
	if code := r.code(); code != codeInternal && code != codeUnavailable || strings.Contains(strings.ToLower(string(r.Body)), "sql") {
		t.Errorf("%s", r.Body)
	}
}

// TestVariablesThatDoNotFit wants to know which, and where in it.
func TestVariablesThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := start(t)
	if r := s.query("admin", `query($n: Int) { runs(first: $n) { totalCount } }`, map[string]any{"n": "5"}); r.code() != "GRAPHQL_VALIDATION_FAILED" || r.Errors[0].Message != "$n: This is not of the type Int." {
		t.Errorf("text for a number: %s", r.Body)
	}
	for variables, want := range map[string]string{
		`{}`: "$input: must be defined",
		`{"input":{"nmae":"a","scopes":["READ"]}}`:           "$input.nmae: unknown field",
		`{"input":{"name":"a"}}`:                             "$input.scopes: must be defined",
		`{"input":{"name":"a","scopes":["READ","WRITE"]}}`:   "$input.scopes[1]: This is not a value of the enum Scope.",
		`{"input":{"name":{"first":"a"},"scopes":["READ"]}}`: "$input.name: This is not of the type String.",
		`{"input":{"name":1.10,"scopes":["READ"]}}`:          "$input.name: This is not of the type String.",
		`{"input":{"name":"a","scopes":["READ"],"a\nb":1}}`:  `$input."a\nb": unknown field`,
		`{"input":[]}`: "$input: must be a CreateTokenInput, not a list",
	} {
		r := s.do(http.MethodPost, "", `{"query":"mutation($input: CreateTokenInput!) { createToken(input: $input) { secret } }","variables":`+variables+`}`, sendJSON)
		if r.code() != "GRAPHQL_VALIDATION_FAILED" || r.Errors[0].Message != want || r.Errors[0].Path != nil {
			t.Errorf("%s: %s", variables, r.Body)
		}
	}
}
