package graph

import (
	"encoding/json"
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
