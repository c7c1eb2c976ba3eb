// Command assets builds views/assets/dist from views/assets/src: a script and a style sheet for every
// page, a pair of them for the editor of definitions, and one sprite of icons, each with a hash in its name, and their compressed copies. Run it from the root
// after changing a source:
//
//	go run ./cmd/assets
//
// The outcome is committed and depends on the sources only. npm is needed just to fetch the packages
// that package-lock.json names, once.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/evanw/esbuild/pkg/api"
)

const (
	source   = "views/assets/src"
	packages = "views/assets/node_modules"
	dist     = "views/assets/dist"
)

func main() {
	log.SetFlags(0)
	if err := build(); err != nil {
		log.Fatal("assets: ", err)
	}
}

func build() error {
	if _, err := os.Stat(packages); err != nil {
		fetch := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		fetch.Dir, fetch.Stdout, fetch.Stderr = "views/assets", os.Stderr, os.Stderr
		if err := fetch.Run(); err != nil {
			return fmt.Errorf("fetch the packages of views/assets: %w", err)
		}
	}
	files, linked, err := bundle()
	if err != nil {
		return err
	}
	sprite, err := sprite()
	if err != nil {
		return err
	}
	files["icons.svg"] = sprite
	if files["logo.svg"], err = os.ReadFile(source + "/logo.svg"); err != nil {
		return err
	}
	notice, err := notice(append(linked, "lucide-static"))
	if err != nil {
		return err
	}

	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	manifest := map[string]string{}
	for name, content := range files {
		hashed := withHash(name, content)
		manifest[name] = hashed
		if err := write(hashed, content); err != nil {
			return err
		}
	}
	list, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dist, "manifest.json"), append(list, '\n'), 0o644),
		os.WriteFile(filepath.Join(dist, "NOTICE"), notice, 0o644))
}

// bundle makes the scripts and style sheets. It returns the packages of which parts are in them.
func bundle() (files map[string][]byte, linked []string, err error) {
	result := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: source + "/js/app.js", OutputPath: "app"},
			{InputPath: source + "/css/app.css", OutputPath: "app"},
			{InputPath: source + "/js/definition/main.js", OutputPath: "definition"},
			{InputPath: source + "/css/definition.css", OutputPath: "definition"},
		},
		Outdir:            dist,
		Bundle:            true,
		Metafile:          true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		Engines:           []api.Engine{{Name: api.EngineChrome, Version: "125"}, {Name: api.EngineFirefox, Version: "128"}, {Name: api.EngineSafari, Version: "17.5"}},
		MinifyWhitespace:  true,
		MinifySyntax:      true,
		MinifyIdentifiers: true,
		LegalComments:     api.LegalCommentsNone, // NOTICE has them
		LogLevel:          api.LogLevelWarning,
	})
	if len(result.Errors) > 0 {
		return nil, nil, errors.New("the sources do not build")
	}
	files = map[string][]byte{}
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	var meta struct{ Inputs map[string]struct{} }
	if err := json.Unmarshal([]byte(result.Metafile), &meta); err != nil {
		return nil, nil, err
	}
	for input := range meta.Inputs {
		if name := packageOf.FindStringSubmatch(input); name != nil {
			linked = append(linked, name[1])
		}
	}
	for _, framework := range []string{"react", "preact"} {
		if slices.Contains(linked, framework) {
			return nil, nil, fmt.Errorf("%s has got into the scripts", framework)
		}
	}
	return files, linked, nil
}

var packageOf = regexp.MustCompile(`node_modules/((?:@[^/]+/)?[^/]+)/`)

var body = regexp.MustCompile(`(?s)<svg[^>]*>(.*)</svg>`)

// sprite puts the icons that src/icons.txt names into one file of symbols.
func sprite() ([]byte, error) {
	list, err := os.ReadFile(source + "/icons.txt")
	if err != nil {
		return nil, err
	}
	names := strings.Fields(string(list))
	slices.Sort(names)
	var out bytes.Buffer
	out.WriteString(`<svg xmlns="http://www.w3.org/2000/svg">` + "\n")
	for _, name := range slices.Compact(names) {
		file := filepath.Join(packages, "lucide-static", "icons", name+".svg")
		icon, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		inner := body.FindSubmatch(icon)
		if inner == nil {
			return nil, fmt.Errorf("%s is not an SVG", file)
		}
		fmt.Fprintf(&out, `<symbol id="%s" viewBox="0 0 24 24">%s</symbol>`+"\n", name, strings.Join(strings.Fields(string(inner[1])), " "))
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// notice collects the licences of the packages that ended up in dist.
func notice(names []string) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("The files beside this one contain parts of these packages.\n")
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		raw, err := os.ReadFile(filepath.Join(packages, name, "package.json"))
		if err != nil {
			return nil, err
		}
		var about struct{ Version, License string }
		if err := json.Unmarshal(raw, &about); err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(packages, name, "[Ll][Ii][Cc][Ee][Nn][Ss][Ee]*"))
		if err != nil {
			return nil, err
		}
		licence := []byte("Licence: " + about.License + ", as its package.json says.")
		if len(found) > 0 {
			if licence, err = os.ReadFile(found[0]); err != nil {
				return nil, err
			}
		} else if about.License == "" {
			return nil, fmt.Errorf("%s does not say what its licence is", name)
		}
		fmt.Fprintf(&out, "\n--- %s %s ---\n\n%s\n", name, about.Version, bytes.TrimSpace(licence))
	}
	return out.Bytes(), nil
}

func withHash(name string, content []byte) string {
	sum := sha256.Sum256(content)
	ext := filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5])) + ext
}

// write stores a file and its compressed copies.
func write(name string, content []byte) error {
	var gz, br bytes.Buffer
	g, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return err
	}
	b := brotli.NewWriterLevel(&br, brotli.BestCompression)
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{g, b} {
		if _, err := w.Write(content); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	path := filepath.Join(dist, name)
	return errors.Join(
		os.WriteFile(path, content, 0o644),
		os.WriteFile(path+".gz", gz.Bytes(), 0o644),
		os.WriteFile(path+".br", br.Bytes(), 0o644))
}
