package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Documents are the only ones that a server executes, by the SHA-256 of their text in hex. Nil: any document.
type Documents map[string]string

const largestDocuments = 16 << 20 // of a file, which may hold all documents of a program

// ReadDocuments reads the documents of a folder and those below it: files *.graphql with one document each, and *.json as
// tools write them, which are objects of texts (Relay, GraphQL Code Generator) or manifests of Apollo. A document that
// does not fit the schema is an error.
func ReadDocuments(folder string) (Documents, error) {
	known := Documents{}
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		ending := filepath.Ext(path)
		if err != nil || entry.IsDir() || ending != ".graphql" && ending != ".json" {
			return err
		}
		switch info, err := os.Stat(path); {
		case err != nil:
			return err
		case !info.Mode().IsRegular() || info.Size() > largestDocuments:
			return fmt.Errorf("%s is no file of at most %d bytes", path, largestDocuments)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		texts := []string{string(raw)}
		if ending == ".json" {
			if texts, err = documentsOf(raw); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		for _, text := range texts {
			if err := known.add(text); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	})
	if err == nil && len(known) == 0 {
		err = fmt.Errorf("%s has no files *.graphql or *.json", folder)
	}
	return known, err
}

// documentsOf are the texts in a file that a tool wrote.
func documentsOf(raw []byte) (texts []string, err error) {
	var manifest struct{ Operations []struct{ Body string } }
	if err := json.Unmarshal(raw, &manifest); err == nil && manifest.Operations != nil {
		for _, o := range manifest.Operations {
			texts = append(texts, o.Body)
		}
		return texts, nil
	}
	var byID map[string]string
	if err := json.Unmarshal(raw, &byID); err != nil {
		return nil, errors.New("this is neither an object of documents by their ids nor a manifest of Apollo")
	}
	for _, text := range byID {
		texts = append(texts, text)
	}
	return texts, nil
}

func (d Documents) add(text string) error {
	if _, errs := gqlparser.LoadQueryWithRules(parsedSchema, text, nil); len(errs) > 0 {
		return errs[0]
	}
	for _, variant := range []string{text, strings.TrimSpace(text)} { // editors end files with a line break
		d[hashOf(variant)] = variant
	}
	return nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// admit puts the document in the place of its hash, and refuses one that is not known.
func (d Documents) admit(r *graphql.RawParams) *gqlerror.Error {
	if d == nil {
		return nil
	}
	hash := hashOf(strings.TrimSpace(r.Query))
	if persisted, _ := r.Extensions["persistedQuery"].(map[string]any); r.Query == "" {
		hash, _ = persisted["sha256Hash"].(string)
	}
	text, known := d[hash]
	if !known {
		return coded(codeUnknownDocument, "This server executes only the documents that it was given, and this is none of them.")
	}
	if r.Query == "" {
		r.Query = text
	}
	return nil
}
