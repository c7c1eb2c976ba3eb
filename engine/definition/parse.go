package definition

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"penstock/drivers"
	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

// JSON returns a document that is written in JSON or YAML as compact JSON: what is stored. Text that
// begins with { is JSON, everything else is YAML. With issues of severity error there is no result.
func JSON(data []byte) (json.RawMessage, []Issue) {
	if len(data) > MaxInput {
		return nil, []Issue{{Code: CodeTooLarge, Severity: SeverityError,
			Message: fmt.Sprintf("The definition has %d bytes; at most %d are allowed.", len(data), MaxInput)}}
	}
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(trimmed) == 0 {
		return nil, []Issue{{Code: CodeSyntax, Message: "The definition is empty.", Severity: SeverityError}}
	}
	if trimmed[0] != '{' {
		converted, err := fromYAML(data)
		if err != nil {
			return nil, []Issue{{Code: CodeSyntax, Message: "The YAML cannot be read: " + err.Error() + ".", Severity: SeverityError}}
		}
		data = converted
	}
	issues := duplicates(data)
	if len(issues) == 0 {
		if _, err := strictjson.Decode(data); err != nil {
			return nil, []Issue{{Code: CodeSyntax, Message: fault.Of(err).Message, Severity: SeverityError}}
		}
	}
	compacted, err := Compact(data)
	if err != nil { // the duplicates hide a syntax error further down
		return nil, append(issues, Issue{Code: CodeSyntax, Message: "The definition is not valid JSON: " + err.Error() + ".", Severity: SeverityError})
	}
	if len(compacted) > MaxSize {
		return nil, append(issues, Issue{Code: CodeTooLarge, Severity: SeverityError,
			Message: fmt.Sprintf("The definition has %d bytes without white space; at most %d are allowed. Split it into several definitions.", len(compacted), MaxSize)})
	}
	return compacted, issues
}

// Compact removes the white space from JSON; the order of keys stays.
func Compact(config json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, bytes.TrimPrefix(config, []byte("\ufeff"))); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Checksum is the SHA-256 of the compact config in hexadecimal: equal for texts that differ in white
// space only. What is not JSON is summed as it is.
func Checksum(config json.RawMessage) string {
	if compacted, err := Compact(config); err == nil {
		config = compacted
	}
	sum := sha256.Sum256(config)
	return hex.EncodeToString(sum[:])
}

// duplicates reports every key that stands twice in one object. It stops without a word at the first
// syntax error: that is strictjson's to explain.
func duplicates(data []byte) []Issue {
	tokens := json.NewDecoder(bytes.NewReader(data))
	tokens.UseNumber()
	var issues []Issue
	var walk func(path []string) error
	walk = func(path []string) error {
		token, err := tokens.Token()
		if err != nil {
			return err
		}
		opening, ok := token.(json.Delim)
		if !ok {
			return nil
		}
		if len(path) >= strictjson.MaxDepth {
			return errors.New("too deep")
		}
		seen := map[string]bool{}
		for i := 0; tokens.More(); i++ {
			step := strconv.Itoa(i)
			if opening == '{' {
				key, err := tokens.Token()
				if err != nil {
					return err
				}
				step = key.(string) // the tokenizer refuses every other key
				if seen[step] {
					issues = append(issues, Issue{
						Path: drivers.Pointer(append(path, step)...), Code: CodeDuplicateKey, Severity: SeverityError,
						Message: fmt.Sprintf("The key %q stands twice in one object. Keep one of them.", step),
					})
				}
				seen[step] = true
			}
			if err := walk(append(path[:len(path):len(path)], step)); err != nil {
				return err
			}
		}
		_, err = tokens.Token()
		return err
	}
	_ = walk(nil)
	return issues
}
