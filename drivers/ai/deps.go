package ai

import (
	"net/http"
	"net/url"
	"strings"

	"penstock/drivers"
	"penstock/fault"
)

// Deps is what the program gives to providers.
type Deps struct {
	HTTP *http.Client             // every request goes through it
	Env  func(name string) string // the environment of the server; nil: empty
}

// Vendor is how a vendor is called in messages and in the environment.
type Vendor struct {
	Name   string // for people: "OpenAI"
	KeyEnv string // "OPENAI_API_KEY"
	URLEnv string // "OPENAI_BASE_URL"
}

// Endpoint is where a provider sends its requests and with which key.
type Endpoint struct {
	Key string // never empty when Missing is nil
	URL string // "" for the vendor's own address
}

// Endpoint joins the settings of a definition with the server's environment. The key of the
// environment goes only to the address of the environment or to the vendor: whoever may edit a
// pipeline must not be able to have it sent somewhere else.
func (d Deps) Endpoint(v Vendor, key drivers.Secret, baseURL string) (Endpoint, error) {
	env := d.Env
	if env == nil {
		env = func(string) string { return "" }
	}
	e := Endpoint{Key: strings.TrimSpace(key.Reveal()), URL: strings.TrimSpace(baseURL)}
	where := "base_url"
	if e.URL == "" {
		e.URL, where = strings.TrimSpace(env(v.URLEnv)), v.URLEnv
		if e.Key == "" {
			e.Key = strings.TrimSpace(env(v.KeyEnv))
		}
	}
	if e.URL == "" {
		return e, nil
	}
	u, err := url.Parse(e.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return e, fault.New(fault.Unprocessable,
			"%s of %s is not an address of the form https://host/path, without a user name and a query.", where, v.Name)
	}
	if e.Key == "" {
		e.Key = "none" // Ollama, vLLM and others want a key and ignore it
	}
	return e, nil
}

// Missing names the setting that is needed before the vendor can be reached.
func (e Endpoint) Missing(v Vendor) []string {
	if e.Key == "" {
		return []string{v.KeyEnv}
	}
	return nil
}
