package graph

import (
	"encoding/json"
	"net/http"
	"testing"
)

// TestNodesOfAdministrators looks users and tokens up by their global ids with and without the scope admin.
func TestNodesOfAdministrators(t *testing.T) {
	t.Parallel()
	s := start(t)
	var made struct {
		CreateUser  struct{ User struct{ ID string } }
		CreateToken struct{ APIToken struct{ ID string } }
	}
	r := s.query("admin", `mutation {
		createUser(input: {name: "ann", password: "four quite random words", role: VIEWER}) { user { id } }
		createToken(input: {name: "ci", scopes: [READ]}) { apiToken { id } } }`, nil)
	if err := json.Unmarshal(r.Data, &made); err != nil {
		t.Fatal(err)
	}
	ids := []string{made.CreateUser.User.ID, made.CreateToken.APIToken.ID}
	for caller, want := range map[string]string{
		"admin": `{"nodes":[{"__typename":"User","name":"ann"},{"__typename":"ApiToken","name":"ci"}]}`,
		"edit":  `{"nodes":[null,null]}`,
	} {
		r := s.query(caller, `query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on User { name } ... on ApiToken { name } } }`, map[string]any{"ids": ids})
		if string(r.Data) != want {
			t.Errorf("%s: %s", caller, r.Body)
		}
	}
}

// TestChangePassword lets somebody who is signed in change their own password.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.query("admin", `mutation { createUser(input: {name: "read", password: "four quite random words", role: VIEWER}) { user { id } } }`, nil)
	change := func(from, to string, headers ...string) string {
		body := encode(map[string]any{"query": `mutation($input: ChangePasswordInput!) { changePassword(input: $input) { user { name } userErrors { code message field } } }`, "variables": map[string]any{
			"input": map[string]string{"currentPassword": from, "password": to},
		}})
		return string(s.do(http.MethodPost, "", string(body), append(headers, sendJSON)...).Data)
	}
	session := []string{"Authorization: ", "Cookie: session=read"}
	for _, c := range []struct {
		name, from, to string
		as             []string
		want           string
	}{
		{"a wrong one", "four random words", "five quite random words", session, `{"changePassword":{"user":null,"userErrors":[{"code":"INVALID","message":"The present password is wrong.","field":["input","currentPassword"]}]}}`},
		{"a poor one", "four quite random words", "12345", session, `{"changePassword":{"user":null,"userErrors":[{"code":"INVALID","message":"The password is too short: use at least 12 characters, for example four random words.","field":["input","password"]}]}}`},
		{"by a token", "four quite random words", "five quite random words", []string{"Authorization: Bearer read"}, `{"changePassword":{"user":null,"userErrors":[{"code":"INVALID","message":"An API token has no password. Sign in to change yours.","field":null}]}}`},
		{"the right one", "four quite random words", "five quite random words", session, `{"changePassword":{"user":{"name":"read"},"userErrors":[]}}`},
		{"which holds", "five quite random words", "four quite random words", session, `{"changePassword":{"user":{"name":"read"},"userErrors":[]}}`},
	} {
		if got := change(c.from, c.to, c.as...); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
