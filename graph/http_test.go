package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	wantPlain   = "Accept: application/json"
	wantGraphQL = "Accept: application/graphql-response+json"
	sendJSON    = "Content-Type: application/json"
)

// TestAudits are the 61 server audits of graphql-http 1.23.1, under their ids.
func TestAudits(t *testing.T) {
	t.Parallel()
	s := start(t)
	post := func(body string, headers ...string) func() result {
		return func() result { return s.do(http.MethodPost, "", body, append([]string{sendJSON}, headers...)...) }
	}
	get := func(values url.Values, headers ...string) func() result {
		return func() result { return s.do(http.MethodGet, "?"+values.Encode(), "", headers...) }
	}
	status := func(codes ...int) func(result) error {
		return func(r result) error {
			for _, c := range codes {
				if r.Status == c {
					return nil
				}
			}
			return fmt.Errorf("status %d, want %d", r.Status, codes)
		}
	}
	media := func(want string) func(result) error {
		return func(r result) error {
			if got := r.Header.Get("Content-Type"); r.Status != 200 || got != want+"; charset=utf-8" {
				return fmt.Errorf("status %d, content type %q", r.Status, got)
			}
			return nil
		}
	}
	noErrors := func(r result) error {
		if r.Status != 200 || strings.Contains(string(r.Body), `"errors"`) {
			return fmt.Errorf("status %d: %s", r.Status, r.Body)
		}
		return nil
	}
	noData := func(r result) error {
		if strings.Contains(string(r.Body), `"data"`) {
			return fmt.Errorf("has a data entry: %s", r.Body)
		}
		return nil
	}
	const typename = `{"query":"{ __typename }"}`
	const byName = `{"query":"query Type($name: String!) { __type(name: $name) { name } }","variables":{"name":"sometype"}}`
	byNameURL := url.Values{"query": {"query Type($name: String!) { __type(name: $name) { name } }"}, "variables": {`{"name":"sometype"}`}}
	const coerce = `{"query":"query CoerceFailure($id: ID!){ __typename }","variables":{"id":null}}`
	const unknown = `{"query":"{ 8f31403dfe404bccbb0e835f2629c6a7 }"}`

	type audit struct {
		id   string
		do   func() result
		want func(result) error
	}
	audits := []audit{
		{"22EB", post(typename, wantGraphQL), media(mediaGraphQL)},
		{"4655", post(typename, wantPlain), media(mediaJSON)},
		{"47DE", post(typename, "Accept: */*"), media(mediaJSON)},
		{"80D8", post(typename, "Accept: "), media(mediaJSON)},
		{"82A3", post(typename), status(200)},
		{"BF61", post(`{"query":"{ __type(name: \"Run🏃Swim🏊\") { name } }"}`, sendJSON+"; charset=utf-8"), status(200)},
		{"78D5", post(typename), status(200)},
		{"2C94", post(typename), status(200)},
		{"5A70", get(url.Values{"query": {"{ __typename }"}}), status(200)},
		{"9C48", get(url.Values{"query": {"mutation { __typename }"}}, wantGraphQL), status(405)},
		{"9ABE", post(typename, "Content-Type: "), status(415)},
		{"03D4", post(typename), status(200)},
		{"A5BF", post(""), status(400)},
		{"423L", post(`{"notquery":"{ __typename }"}`, wantGraphQL), status(400)},
		{"34A2", post(typename, wantGraphQL), status(200)},
		{"13EE", post(typename, wantPlain), noErrors},
		{"8161", post(`{"operationName":"Query","query":"query Query { __typename }"}`, wantGraphQL), status(200)},
		{"B8B3", post(`{"operationName":"Query","query":"query Query { __typename }"}`, wantPlain), noErrors},
		{"2EA1", post(byName, wantGraphQL), status(200)},
		{"28B9", post(byName, wantPlain), noErrors},
		{"D6D5", get(byNameURL, wantGraphQL), noErrors},
		{"6A70", get(byNameURL, wantPlain), noErrors},
		{"428F", post(`{"query":"{ __typename }","extensions":{"some":"value"}}`, wantGraphQL), status(200)},
		{"1B7A", post(`{"query":"{ __typename }","extensions":{"some":"value"}}`, wantPlain), noErrors},
		{"B6DC", post(`{ "not a JSON`, wantPlain), status(400)},
		{"BCF8", post(`{ "not a JSON`, wantPlain), status(400)},
		{"B7N8", post(`{ "not a JSON`, wantGraphQL), status(400)},
		{"8764", post(`{"qeury":"{ __typename }"}`), status(400)},
		{"3E3A", post(`{"qeury":"{ __typename }"}`), status(400)},
		{"572B", post(`{"query":"{"}`, wantPlain), status(200)},
		{"FDE2", post(unknown, wantPlain), status(200)},
		{"7B9B", post(coerce, wantPlain), status(200)},
		{"865D", post(`{"query":"{"}`, wantGraphQL), status(400)},
		{"556A", post(`{"query":"{"}`, wantGraphQL), status(400)},
		{"D586", post(`{"query":"{"}`, wantGraphQL), noData},
		{"51FE", post(unknown, wantGraphQL), status(400)},
		{"74FF", post(unknown, wantGraphQL), status(400)},
		{"5E5B", post(unknown, wantGraphQL), noData},
		{"86EE", post(coerce, wantGraphQL), status(400)},
	}
	for i, bad := range []string{`{"obj":"ect"}`, `0`, `false`, `["array"]`} {
		audits = append(audits,
			audit{fmt.Sprintf("LKJ%d", i), post(`{"query":` + bad + `}`), status(400)},
			audit{fmt.Sprintf("6C0%d", i), post(`{"query":"{ __typename }","operationName":` + bad + `}`), status(400)})
	}
	for i, bad := range []string{`"string"`, `0`, `false`, `["array"]`} {
		audits = append(audits,
			audit{fmt.Sprintf("476%d", i), post(`{"query":"{ __typename }","variables":` + bad + `}`), status(400)},
			audit{fmt.Sprintf("58B%d", i), post(`{"query":"{ __typename }","extensions":` + bad + `}`), status(400)})
	}
	for i, name := range []string{"variables", "operationName", "extensions"} {
		body := `{"query":"{ __typename }","` + name + `":null}`
		audits = append(audits,
			audit{fmt.Sprintf("94B%d", i), post(body, wantGraphQL), noErrors},
			audit{fmt.Sprintf("022%d", i), post(body, wantPlain), noErrors})
	}
	if len(audits) != 61 {
		t.Errorf("%d audits, want 61", len(audits))
	}
	for _, a := range audits {
		t.Run(a.id, func(t *testing.T) {
			if err := a.want(a.do()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	const typename = `{"query":"{ __typename }"}`
	subscription := `{"query":"subscription { runProgress(runId: \"x\") { cursor } }"}`
	for _, c := range []struct {
		name, method, query, body string
		headers                   []string
		status                    int
		code                      string
	}{
		{"no credential", "POST", "", typename, []string{sendJSON, "Authorization: "}, 401, codeUnauthenticated},
		{"unknown credential", "POST", "", typename, []string{sendJSON, "Authorization: Bearer nobody"}, 401, codeUnauthenticated},
		{"other method", "PUT", "", typename, []string{sendJSON}, 405, codeBadRequest},
		{"form", "POST", "", "query=%7B__typename%7D", []string{"Content-Type: application/x-www-form-urlencoded"}, 415, codeBadRequest},
		{"text", "POST", "", typename, []string{"Content-Type: text/plain"}, 415, codeBadRequest},
		{"UTF-16", "POST", "", typename, []string{sendJSON + "; charset=utf-16"}, 415, codeBadRequest},
		{"compressed", "POST", "", typename, []string{sendJSON, "Content-Encoding: gzip"}, 415, codeBadRequest},
		{"nothing acceptable", "POST", "", typename, []string{sendJSON, "Accept: image/png"}, 406, codeBadRequest},
		{"q=0 is not acceptable", "POST", "", typename, []string{sendJSON, "Accept: application/json;q=0"}, 406, codeBadRequest},
		{"too large", "POST", "", `{"query":"` + strings.Repeat(" ", 300<<10) + `"}`, []string{sendJSON}, 413, codeBadRequest},
		{"URL too long", "GET", "?query=" + strings.Repeat("+", 300<<10), "", nil, 414, codeBadRequest},
		{"batch", "POST", "", "[" + typename + "]", []string{sendJSON}, 400, codeBadRequest},
		{"same key twice", "POST", "", `{"query":"{ __typename }","query":"{ viewer { name } }"}`, []string{sendJSON}, 400, codeBadRequest},
		{"trailing data", "POST", "", typename + typename, []string{sendJSON}, 400, codeBadRequest},
		{"too deep", "POST", "", `{"query":"{ __typename }","variables":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, []string{sendJSON}, 400, codeBadRequest},
		{"subscription without a stream", "POST", "", subscription, []string{sendJSON}, 400, codeNeedsStream},
		{"GET from another site", "GET", "?query=%7B__typename%7D", "", []string{"Sec-Fetch-Site: cross-site"}, 403, codeForbidden},
		{"GET from the same site", "GET", "?query=%7B__typename%7D", "", []string{"Sec-Fetch-Site: same-site"}, 403, codeForbidden},
		{"GET from the same origin", "GET", "?query=%7B__typename%7D", "", []string{"Sec-Fetch-Site: same-origin"}, 200, ""},
		{"GET with bad variables", "GET", "?query=%7B__typename%7D&variables=%7B", "", nil, 400, codeBadRequest},
		{"unknown persisted query", "POST", "", `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}`, []string{sendJSON}, 200, "PERSISTED_QUERY_NOT_FOUND"},
		{"wrong persisted hash", "POST", "", `{"query":"{__typename}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}`, []string{sendJSON}, 200, codeBadRequest},
		{"no operation chosen", "POST", "", `{"query":"query A { __typename } query B { __typename }"}`, []string{sendJSON}, 200, "GRAPHQL_VALIDATION_FAILED"},
		{"unknown operation", "POST", "", `{"query":"query A { __typename }","operationName":"B"}`, []string{sendJSON}, 200, "GRAPHQL_VALIDATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do(c.method, c.query, c.body, c.headers...)
			if r.Status != c.status || r.code() != c.code {
				t.Errorf("%d %q, want %d %q: %.300s", r.Status, r.code(), c.status, c.code, r.Body)
			}
			if len(r.Body) > 16<<10 {
				t.Errorf("answer of %d bytes", len(r.Body))
			}
			if c.status == 405 && r.Header.Get("Allow") == "" || c.status == 401 && r.Header.Get("WWW-Authenticate") == "" {
				t.Error("a header is missing")
			}
		})
	}

	t.Run("says which operation it lacks", func(t *testing.T) {
		for body, want := range map[string]string{
			`{"query":"query A { __typename } query B { __typename }"}`: "The document has more than one operation: name one in `operationName`.",
			`{"query":"query A { __typename }","operationName":"B"}`:    "The document has no operation of the name in `operationName`.",
			`{"query":"query A { __typename }","operationName":""}`:     "",
		} {
			r := s.do("POST", "", body, sendJSON)
			if want == "" && r.Errors != nil || want != "" && (r.Errors == nil || r.Errors[0].Message != want) {
				t.Errorf("%s: %s", body, r.Body)
			}
		}
	})
	t.Run("honours q values", func(t *testing.T) {
		for accept, want := range map[string]string{
			"application/json;q=0.5, application/graphql-response+json":        mediaGraphQL,
			"application/json, application/graphql-response+json;q=0.5":        mediaJSON,
			"application/graphql-response+json, application/json":              mediaGraphQL,
			"application/graphql-response+json;q=0, application/*":             mediaJSON,
			"text/event-stream, application/json":                              mediaJSON,
			"application/json;charset=utf-8":                                   mediaJSON,
			"application/graphql-response+json;charset=utf-8, multipart/mixed": mediaGraphQL,
			"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8":  mediaJSON,
		} {
			r := s.do("POST", "", typename, sendJSON, "Accept: "+accept)
			if got := r.Header.Get("Content-Type"); r.Status != 200 || got != want+"; charset=utf-8" {
				t.Errorf("%s: %d %s", accept, r.Status, got)
			}
		}
	})
	t.Run("is not cached", func(t *testing.T) {
		h := s.do("POST", "", typename, sendJSON).Header
		if h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Accept" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers %v", h)
		}
	})
	t.Run("keeps a persisted query", func(t *testing.T) {
		const hash = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38" // of {__typename}
		with := `"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}}`
		for _, body := range []string{`{"query":"{__typename}",` + with, `{` + with} {
			if r := s.do("POST", "", body, sendJSON); string(r.Data) != `{"__typename":"Query"}` {
				t.Errorf("%s: %s", body, r.Body)
			}
		}
	})
}

// TestJSONIsKept says that what goes in as JSON in a variable comes out as it was.
func TestJSONIsKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	const config = `{"version":"1.0","nodes":[{"type":"echo","id":"b"},{"id":"a","type":"echo"}],"description":"<ü> 😀"}`
	body := `{"query":"mutation($i: CreatePipelineDefinitionInput!) { createPipelineDefinition(input: $i) { pipelineDefinition { config } userErrors { message } } }",
		"variables":{"i":{"name":"kept","config":` + config + `}}}`
	if r := s.do("POST", "", body, sendJSON); !strings.Contains(string(r.Body), config) {
		t.Errorf("config came back as %s", r.Body)
	}
	send := func(body string) json.RawMessage {
		r := s.do("POST", "", body, sendJSON)
		var data struct {
			ExecutePipelineDefinition struct{ Run struct{ RunID string } }
		}
		if json.Unmarshal(r.Data, &data) != nil || data.ExecutePipelineDefinition.Run.RunID == "" {
			t.Fatalf("execute: %s", r.Body)
		}
		stored, err := s.store.Run(t.Context(), data.ExecutePipelineDefinition.Run.RunID)
		if err != nil {
			t.Fatal(err)
		}
		return stored.Payload
	}
	run := func(payload string) json.RawMessage {
		return send(`{"query":"mutation($p: JSON) { executePipelineDefinition(input: {name: \"kept\", payload: $p}) { run { runId } } }","variables":{"p":` + payload + `}}`)
	}
	literal := func(payload string) json.RawMessage {
		return send(string(encode(map[string]string{
			"query": `mutation { executePipelineDefinition(input: {name: "kept", payload: ` + payload + `}) { run { runId } } }`})))
	}
	const payload = `{"z":12345678901234567890123,"a":1.10,"n":[1,{"y":null,"b":true}]}`
	if got := run(payload); string(got) != payload {
		t.Errorf("payload %s was stored as %s", payload, got)
	}
	t.Run("an empty list in a literal stays one", func(t *testing.T) {
		if got := literal(`{n: [], o: {p: [[], {}]}, q: null}`); string(got) != `{"n":[],"o":{"p":[[],{}]},"q":null}` {
			t.Errorf("stored as %s", got)
		}
		r := s.query("edit", `mutation { createPipelineDefinition(input: {name: "empty", config: {version: "1.0", nodes: []}}) { userErrors { field message } } }`, nil)
		if strings.Contains(string(r.Body), "null") || !strings.Contains(string(r.Body), `"nodes"`) {
			t.Errorf("the empty list of nodes: %s", r.Body)
		}
	})
	t.Run("what a literal cannot hold is refused by name", func(t *testing.T) {
		execute := func(payload string) string {
			return `mutation { executePipelineDefinition(input: {name: "kept", payload: ` + payload + `}) { run { id } } }`
		}
		for query, where := range map[string]string{
			execute(`{a: {b: HIGH}}`): "input.payload.a.b: ",
			execute(`{a: 1e400}`):     "The JSON is refused (line 1, column 6, at /a): ",
			strings.Replace(execute("$p"), "mutation", "mutation($p: JSON = {a: HIGH})", 1):        "$p.a: ",
			strings.Replace(execute("{c: [$p]}"), "mutation", "mutation($p: JSON = [1, HIGH])", 1): "$p.1: ",
		} {
			r := s.query("admin", query, nil)
			if r.code() != codeBadUserInput || !strings.HasPrefix(r.Errors[0].Message, where) {
				t.Errorf("%s: %s", query, r.Body)
			}
		}
		if r := s.query("admin", `{ pipelineDefinitionDiff(name: "x", from: 2147483648) { __typename } }`, nil); r.code() != codeBadUserInput {
			t.Errorf("%s", r.Body)
		}
		if r := s.query("admin", `query($n: Int) { pipelineDefinitionDiff(name: "x", from: $n) { __typename } }`, map[string]any{"n": 1 << 40}); r.code() != codeBadUserInput {
			t.Errorf("%s", r.Body)
		}
		if r := s.query("admin", `{ runs(filter: {status: [FAILED]}) { totalCount } }`, nil); r.code() != "" {
			t.Errorf("an enum outside of JSON: %s", r.Body)
		}
	})
	for field, value := range map[string]string{"version": "0", "idempotencyKey": `""`} {
		t.Run("a "+field+" that is none is refused", func(t *testing.T) {
			r := s.query("admin", `mutation { executePipelineDefinition(input: {name: "kept", `+field+`: `+value+`}) { run { id } userErrors { code field } } }`, nil)
			if string(r.Data) != `{"executePipelineDefinition":{"run":null,"userErrors":[{"code":"INVALID","field":["input","`+field+`"]}]}}` {
				t.Errorf("%s", r.Body)
			}
		})
	}
	t.Run("NUL is refused", func(t *testing.T) {
		r := s.do("POST", "", `{"query":"{ pipelineDefinition(name: \"a\\u0000b\") { id } }"}`, sendJSON)
		if r.code() != codeBadUserInput {
			t.Errorf("%s", r.Body)
		}
	})
}
