package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is the largest YAML file that is read, in bytes.
const maxFile = 1 << 20

// SyntaxError is one thing wrong with a YAML file.
type SyntaxError struct {
	File string
	Line int // 0: unknown
	Text string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// DecodeStrict reads one YAML document into the struct that out points to. It names
// every unknown key with its line and the nearest known one, and every value that
// does not fit; all are *SyntaxError, joined. Anchors and aliases are refused. An empty
// file is an empty document.
func DecodeStrict(file string, text []byte, out any) error {
	at := func(line int, format string, args ...any) error {
		return &SyntaxError{file, line, fmt.Sprintf(format, args...)}
	}
	if len(text) > maxFile {
		return at(0, "more than %d bytes", maxFile)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return yamlError(file, err)
	}
	var more yaml.Node
	if err := decoder.Decode(&more); err == nil {
		return at(more.Line, "a second document")
	}
	w := walk{file: file}
	w.node(doc.Content[0], reflect.TypeOf(out).Elem(), "")
	if err := errors.Join(w.problems...); err != nil {
		return err
	}
	if err := doc.Content[0].Decode(out); err != nil {
		return yamlError(file, err)
	}
	return nil
}

// walk compares a document with the type it is for.
type walk struct {
	file     string
	problems []error
}

func (w *walk) wrong(n *yaml.Node, format string, args ...any) {
	w.problems = append(w.problems, &SyntaxError{w.file, n.Line, fmt.Sprintf(format, args...)})
}

func (w *walk) node(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		w.wrong(n, "anchors and aliases are not understood here")
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()), n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		w.keys(n, t, path)
	case t.Kind() == reflect.Struct:
		w.wrong(n, "%swants keys: %s", prefix(path), strings.Join(keysOf(t), ", "))
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			w.node(item, t.Elem(), path)
		}
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			w.node(n.Content[i], t.Elem(), path)
		}
	}
}

func (w *walk) keys(n *yaml.Node, t reflect.Type, path string) {
	known := keysOf(t)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.Index(known, key.Value)
		if at < 0 {
			w.wrong(key, "unknown key %q%s%s", key.Value, within(path), DidYouMean(key.Value, known))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			w.wrong(key, "key %q%s is already on line %d", key.Value, within(path), line)
			continue
		}
		seen[key.Value] = key.Line
		w.node(value, t.Field(at).Type, strings.TrimPrefix(path+"."+key.Value, "."))
	}
}

func prefix(path string) string {
	if path == "" {
		return "the file "
	}
	return fmt.Sprintf("key %q ", path)
}

func within(path string) string {
	if path == "" {
		return ""
	}
	return fmt.Sprintf(" in %q", path)
}

// keysOf gives the YAML names of a struct's fields, in their order.
func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return keys
}

// misfit is how the library says that a value does not fit: its kind, the value, the Go type.
var misfit = regexp.MustCompile("^cannot unmarshal !!([a-z]+) ?(`.*`)? into (.+)$")

var (
	yamlKinds = map[string]string{"seq": "a list", "map": "keys", "str": "text", "int": "a number", "float": "a number", "bool": "true or false"}
	goKinds   = map[string]string{"string": "text", "uint32": "a whole number", "bool": "true or false", "[]string": "a list of texts"}
)

// yamlError puts the library's errors into our form: its lines become ours.
func yamlError(file string, err error) error {
	texts := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		texts = typed.Errors
	}
	var problems []error
	for _, text := range texts {
		e := &SyntaxError{File: file, Text: text}
		if _, err := fmt.Sscanf(text, "line %d: ", &e.Line); err == nil {
			_, e.Text, _ = strings.Cut(text, ": ")
		}
		if m := misfit.FindStringSubmatch(e.Text); m != nil {
			e.Text = fmt.Sprintf("cannot use %s as %s", cmp.Or(m[2], yamlKinds[m[1]]), cmp.Or(goKinds[m[3]], m[3]))
		}
		problems = append(problems, e)
	}
	return errors.Join(problems...)
}

// scalar reads one plain value with set, and gives an error the line it is on.
func scalar(n *yaml.Node, set func(string) error) error {
	if n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: want one value", n.Line)}}
	}
	if err := set(n.Value); err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", n.Line, err)}}
	}
	return nil
}
