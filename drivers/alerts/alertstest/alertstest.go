// Package alertstest is the suite that every alert source runs. A case is a txtar file of the source's
// testdata folder with the sections header (optional), body, and want: the batch as JSON, or the
// sentence of the error. The flag -update writes the want sections; the difference is for review.
package alertstest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/fault"
)

var update = flag.Bool("update", false, "rewrite the want sections of the cases in testdata")

// Run runs the cases in testdata and the laws that hold for every source.
func Run(t *testing.T, kind drivers.Kind[alerts.Source]) {
	source := build(t, kind)
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, source, file)
		})
	}
	t.Run("refuses what is no strict JSON", func(t *testing.T) { t.Parallel(); refusesInvalid(t, source) })
	t.Run("refuses or notes wrong types", func(t *testing.T) { t.Parallel(); survivesWrongTypes(t, source) })
	t.Run("limits", func(t *testing.T) { t.Parallel(); limits(t, source) })
	t.Run("texts", func(t *testing.T) { t.Parallel(); texts(t, source) })
}

// Fuzz feeds the bodies of testdata and what the fuzzer makes of them to the source.
func Fuzz(f *testing.F, kind drivers.Kind[alerts.Source]) {
	source := build(f, kind)
	for _, file := range cases(f) {
		_, body, _ := read(f, file)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) { _, _ = parse(t, source, nil, body) })
}

func build(t testing.TB, kind drivers.Kind[alerts.Source]) alerts.Source {
	t.Helper()
	source, err := kind.Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func cases(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	return files
}

func read(t testing.TB, file string) (header http.Header, body []byte, archive *txtar.Archive) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range archive.Files {
		switch section.Name {
		case "header":
			lines := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(section.Data, '\n'))))
			mime, err := lines.ReadMIMEHeader()
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			header = http.Header(mime)
		case "body":
			body = section.Data
		}
	}
	return header, body, archive
}

func golden(t *testing.T, source alerts.Source, file string) {
	header, body, archive := read(t, file)
	batch, err := parse(t, source, header, body)
	got := text(t, batch, err)
	last := &archive.Files[len(archive.Files)-1]
	if *update {
		if last.Name != "want" {
			archive.Files = append(archive.Files, txtar.File{Name: "want"})
			last = &archive.Files[len(archive.Files)-1]
		}
		last.Data = got
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if last.Name != "want" || !bytes.Equal(last.Data, got) {
		t.Errorf("got\n%s\nwant\n%s", got, last.Data)
	}
}

// text writes a result for people to review; an error stands before the notes that explain it.
func text(t *testing.T, batch alerts.Batch, err error) []byte {
	var b bytes.Buffer
	if err != nil {
		f := fault.Of(err)
		b.WriteString(string(f.Code) + ": " + f.Message + "\n")
		if reflect.ValueOf(batch).IsZero() {
			return b.Bytes()
		}
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(batch); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parse parses body and checks what is true of every result.
func parse(t testing.TB, source alerts.Source, header http.Header, body []byte) (alerts.Batch, error) {
	t.Helper()
	given := bytes.Clone(body)
	batch, err := source.Parse(header, body)
	if !bytes.Equal(given, body) {
		t.Error("Parse changed the body")
	}
	again, errAgain := source.Parse(header, body)
	if !reflect.DeepEqual(batch, again) || (err == nil) != (errAgain == nil) || (err != nil && err.Error() != errAgain.Error()) {
		t.Errorf("the same bytes gave two results:\n%+v %v\n%+v %v", batch, err, again, errAgain)
	}
	if err != nil {
		switch fault.Of(err).Code {
		case fault.Invalid, fault.Unprocessable, fault.TooLarge:
		default:
			t.Errorf("the error is not for people: %v", err)
		}
		if len(batch.Alerts) > 0 {
			t.Errorf("alerts beside an error: %v", err)
		}
		return batch, err
	}
	if len(batch.Alerts) == 0 {
		t.Error("no alert and no error")
	}
	for i, a := range batch.Alerts {
		for _, broken := range laws(a) {
			t.Errorf("alert %d: %s: %+v", i, broken, a)
		}
	}
	return batch, nil
}
