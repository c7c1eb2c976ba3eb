package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which rooms of this module a room may import; main and the rooms that drive the
// built binary may import everything. A change here wants a decision record in docs/adr.
var mayImport = map[string][]string{
	"server":   {"graph", "views", "engine", "db", "auth", "drivers", "fault"},
	"graph":    {"engine", "db", "auth", "drivers", "fault"},
	"nodes":    {"engine", "drivers", "db", "fault"},
	"engine":   {"db", "drivers", "fault"},
	"auth":     {"db", "fault"},
	"views":    {"drivers"},
	"db":       {"fault"},
	"drivers":  {"fault"},
	"fault":    {},
	"examples": {},
}

var free = []string{"", "cmd", "bench", "e2e", "faults"}

// onlyIn says where a library may be imported.
var onlyIn = map[string][]string{
	"github.com/uptrace/bun":          {"db"},
	"github.com/99designs/gqlgen":     {"graph"},
	"github.com/vektah/gqlparser":     {"graph"},
	"github.com/a-h/templ":            {"views", "server", "cmd"},
	"github.com/dbos-inc":             {"engine"},
	"github.com/alexedwards/scs":      {"auth"},
	"golang.org/x/crypto":             {"auth"},
	"github.com/urfave/cli":           {""},
	"github.com/prometheus":           {"server"},
	"cel.dev/cel-go":                  {"engine"},
	"github.com/openai/openai-go":     {"drivers"},
	"github.com/anthropics":           {"drivers"},
	"github.com/wneessen/go-mail":     {"drivers"},
	"code.dny.dev/ssrf":               {"drivers"},
	"github.com/jackc/pgx":            {"db", "bench", "faults"},
	"modernc.org/sqlite":              {"db", "bench", "faults"},
	"github.com/shirou/gopsutil":      {"nodes"},
	"github.com/coder/websocket":      {"graph", "bench", "faults"},
	"github.com/goccy/go-yaml":        {"engine"},
	"github.com/hashicorp/golang-lru": {"auth", "db", "graph", "engine"},
	"github.com/santhosh-tekuri":      {"drivers", "engine"},
	"github.com/invopop/jsonschema":   {"drivers", "engine"},
	"github.com/emersion":             {"drivers"},
	"github.com/graph-gophers":        {"graph"},
	"github.com/rogpeppe/go-internal": {"engine"}, // its diff
	"github.com/google/go-cmp":        {},
	"github.com/stretchr/testify":     {},
}

// dials are ways to reach out. Whatever a user can choose the target of goes through drivers/outbound.
var dials = map[string][]string{
	"net/http":   {"Client", "Transport", "DefaultClient", "DefaultTransport", "Get", "Post", "PostForm", "Head"},
	"net":        {"Dialer", "Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix"},
	"crypto/tls": {"Dialer", "Dial", "DialWithDialer"},
	"net/smtp":   {"Dial", "SendMail"},
}

// mayDial are the folders with a reason of their own to reach out.
var mayDial = []string{
	"drivers/outbound", // the guarded way
	"db",               // the database of the configuration
	".",                // the command line asks the server it is told to
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	forEachFile(t, func(path string, file *ast.File) {
		dir := filepath.ToSlash(filepath.Dir(path))
		room := roomOf(dir)
		seen[room] = true
		if _, known := mayImport[room]; !known && !slices.Contains(free, room) {
			t.Errorf("%s: the top-level folder %q is not in the plan: give it a place in arch_test.go and README", path, room)
		}
		support := strings.HasSuffix(dir, "test") // suites and fakes that tests of other packages use
		for _, imp := range file.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			if inner, ok := strings.CutPrefix(name, "penstock/"); ok {
				checkArrow(t, path, room, inner)
				checkDrivers(t, path, dir, inner, support)
				continue
			}
			for library, rooms := range onlyIn {
				if (name == library || strings.HasPrefix(name, library+"/")) && !slices.Contains(rooms, room) && !support {
					t.Errorf("%s imports %s, which is for %q only", path, name, rooms)
				}
			}
		}
		if !support && !slices.Contains(mayDial, dir) && !slices.Contains([]string{"cmd", "bench", "e2e", "faults"}, room) {
			checkDials(t, path, file)
		}
		checkNoInit(t, path, file)
	})
	for _, room := range []string{"", "server", "graph", "engine", "db", "auth", "drivers", "fault", "nodes", "views"} {
		if !seen[room] {
			t.Errorf("no Go file was found in %q: this test looks in the wrong place", room)
		}
	}
}

func checkArrow(t *testing.T, path, room, inner string) {
	target := roomOf(inner)
	if target != room && !slices.Contains(free, room) && !slices.Contains(mayImport[room], target) {
		t.Errorf("%s imports penstock/%s: %s may import %q only", path, inner, room, mayImport[room])
	}
}

// checkDrivers keeps drivers apart: one imports its family and what families share, never a neighbour.
func checkDrivers(t *testing.T, path, dir, inner string, support bool) {
	if isDriver(inner) && strings.HasPrefix(dir, "drivers/") && dir != inner && !support {
		t.Errorf("%s imports the driver penstock/%s: drivers do not know each other", path, inner)
	}
	if isDriver(inner) && !strings.HasPrefix(dir, "drivers/") && dir != "." && !support {
		t.Errorf("%s imports the driver penstock/%s: only kinds.go knows them", path, inner)
	}
}

func isDriver(dir string) bool {
	parts := strings.Split(dir, "/")
	return len(parts) == 3 && parts[0] == "drivers" && parts[2] != "strictjson" && !strings.HasSuffix(parts[2], "test")
}

func checkDials(t *testing.T, path string, file *ast.File) {
	names := map[string]string{} // how the file calls the package → its path
	for _, imp := range file.Imports {
		pkg, _ := strconv.Unquote(imp.Path.Value)
		if _, ok := dials[pkg]; !ok {
			continue
		}
		name := pkg[strings.LastIndex(pkg, "/")+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = pkg
	}
	constructs := map[ast.Node]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit: // http.Client{…}; naming the type of a parameter is no construction
			constructs[n.Type] = true
		case *ast.CallExpr: // http.Get(…), new(http.Client)
			constructs[n.Fun] = true
			for _, arg := range n.Args {
				constructs[arg] = true
			}
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if ok && slices.Contains(dials[names[pkg.Name]], n.Sel.Name) && (constructs[n] || strings.HasPrefix(n.Sel.Name, "Default")) {
				t.Errorf("%s uses %s.%s: reach out through drivers/outbound", path, pkg.Name, n.Sel.Name)
			}
		}
		return true
	})
}

// checkNoInit: what exists must not depend on what is imported.
func checkNoInit(t *testing.T, path string, file *ast.File) {
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			t.Errorf("%s has an init function: return values from plain functions instead", path)
		}
	}
}

func roomOf(dir string) string {
	if dir == "." {
		return ""
	}
	room, _, _ := strings.Cut(dir, "/")
	return room
}

// isModule reports whether a folder is a module of its own.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// forEachFile parses the module's Go files without the tests.
func forEachFile(t *testing.T, visit func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || isModule(path)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The rules must bite: each broken piece of code below is caught.
func TestArchitectureRulesBite(t *testing.T) {
	t.Parallel()
	for rule, src := range map[string]string{
		"client literal": `package x; import "net/http"; var c = &http.Client{}`,
		"default client": `package x; import "net/http"; var c = http.DefaultClient`,
		"renamed import": `package x; import h "net/http"; var c = h.Client{}`,
		"new":            `package x; import "net/http"; var c = new(http.Transport)`,
		"plain get":      `package x; import "net/http"; func f() { http.Get("x") }`,
		"dialer":         `package x; import "net"; var d net.Dialer = net.Dialer{}`,
		"dial":           `package x; import "net"; func f() { net.Dial("tcp", "x") }`,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", src, 0)
		if err != nil {
			t.Fatal(err)
		}
		probe := new(testing.T)
		checkDials(probe, "x.go", file)
		if !probe.Failed() {
			t.Errorf("%s is not caught", rule)
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x; import "net/http"; func f(c *http.Client, t http.RoundTripper) *http.Client { return c }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	probe := new(testing.T)
	checkDials(probe, "x.go", file)
	if probe.Failed() {
		t.Error("passing a client on counts as making one")
	}
}
