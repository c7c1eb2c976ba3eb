package openai_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"testing"

	"penstock/drivers/ai"
	"penstock/drivers/ai/aitest"
	"penstock/drivers/ai/openai"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestProvider(t *testing.T) {
	t.Parallel()
	aitest.Run(t, aitest.Suite{
		Kind: openai.Kind, Fake: aitest.NewOpenAI,
		KeyEnv: "OPENAI_API_KEY", URLEnv: "OPENAI_BASE_URL",
		Transient: "server_error", Final: "invalid_request_error", LongReason: "length",
	})
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	fake := aitest.NewOpenAI(t)
	send := func(deps ai.Deps, config string) aitest.Call {
		t.Helper()
		p, err := openai.Kind(deps).Build(t.Context(), json.RawMessage(config))
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = aitest.Collect(p.Analyze(t.Context(), ai.Request{})) // only the request matters
		return fake.Calls()[len(fake.Calls())-1]
	}
	call := send(ai.Deps{HTTP: http.DefaultClient}, fmt.Sprintf(`{"base_url": %q, "model": "own", "max_tokens": 500, "temperature": 0}`, fake.URL))
	aitest.Golden(t, *update, "compatible.json", call.Indented(t))

	// By default the vendor itself is asked: let its address lead to the fake.
	call = send(ai.Deps{HTTP: &http.Client{Transport: aitest.Divert(fake)}, Env: func(name string) string {
		return map[string]string{"OPENAI_API_KEY": "key"}[name]
	}}, `{}`)
	aitest.Golden(t, *update, "vendor.json", call.Indented(t))
}
