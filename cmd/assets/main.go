// Command assets builds views/assets/dist from views/assets/src: one script, one style sheet, one
// sprite of icons, each with a hash in its name, and their compressed copies. Run it from the root
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
	files, err := bundle()
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
	notice, err := notice()
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

// bundle makes one script and one style sheet.
func bundle() (map[string][]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: source + "/js/app.js", OutputPath: "app"},
			{InputPath: source + "/css/app.css", OutputPath: "app"},
		},
		Outdir:            dist,
		Bundle:            true,
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
		return nil, errors.New("the sources do not build")
	}
	files := map[string][]byte{}
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	return files, nil
}

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
func notice() ([]byte, error) {
	raw, err := os.ReadFile("views/assets/package.json")
	if err != nil {
		return nil, err
	}
	var manifest struct{ Dependencies map[string]string }
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("The files beside this one contain parts of these packages.\n")
	names := make([]string, 0, len(manifest.Dependencies))
	for name := range manifest.Dependencies {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		licence, err := os.ReadFile(filepath.Join(packages, name, "LICENSE"))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "\n--- %s %s ---\n\n%s\n", name, manifest.Dependencies[name], bytes.TrimSpace(licence))
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
