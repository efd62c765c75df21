package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set gives the text of a config.yaml with one setting changed; no values take it
// out, so that the default counts again. Comments and everything else stay. The
// result was read back: an error names what is wrong with the values.
func Set(text []byte, name string, values []string) ([]byte, error) {
	key, err := FindKey(name)
	if err != nil {
		return nil, err
	}
	if len(values) > 1 && !key.List {
		return nil, fmt.Errorf("setting %s takes one value, not %d", name, len(values))
	}
	root, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	path := strings.Split(name, ".")
	parent := root.Content[0]
	if device, setting, ok := deviceKey(name); ok {
		parent, path = deviceNode(parent, device), []string{setting}
	}
	put(parent, path, valueNode(values, key.List))
	prune(root.Content[0])
	out, err := encode(root)
	if err != nil {
		return nil, err
	}
	return out, Check(out)
}

// Check says what is wrong with the text of a config.yaml, by itself.
func Check(text []byte) error {
	var f file
	if err := DecodeStrict(fileName, text, &f); err != nil {
		return err
	}
	c := Default("/")
	f.over(&c)
	return c.Validate()
}

func parseDocument(text []byte) (*yaml.Node, error) {
	var root yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&root)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(fileName, err)
	}
	if root.Kind == 0 || root.Content[0].Kind != yaml.MappingNode {
		head := root.HeadComment
		root = yaml.Node{Kind: yaml.DocumentNode, HeadComment: head, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
		if err == nil && len(bytes.TrimSpace(text)) > 0 && text[0] == '#' {
			root.HeadComment = strings.TrimSpace(string(text)) // nothing but comments
		}
	}
	return &root, nil
}

func encode(root *yaml.Node) ([]byte, error) {
	if len(root.Content[0].Content) == 0 {
		return []byte(root.HeadComment), nil
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(root), e.Close()); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return b.Bytes(), nil
}

// valueNode is what stands in the file; nil takes it out.
func valueNode(values []string, list bool) *yaml.Node {
	if len(values) == 0 {
		return nil
	}
	if !list {
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: values[0]}
		if values[0] == "" {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: v, Style: yaml.DoubleQuotedStyle})
	}
	return n
}

// child finds a key of a mapping: where its value stands in Content, or -1.
func child(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}

// put sets or takes out what a path leads to.
func put(m *yaml.Node, path []string, value *yaml.Node) {
	at := child(m, path[0])
	switch {
	case len(path) > 1 && at < 0:
		below := &yaml.Node{Kind: yaml.MappingNode}
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: path[0]}, below)
		put(below, path[1:], value)
	case len(path) > 1:
		if m.Content[at].Kind != yaml.MappingNode {
			m.Content[at] = &yaml.Node{Kind: yaml.MappingNode}
		}
		put(m.Content[at], path[1:], value)
	case value == nil && at > 0:
		m.Content = append(m.Content[:at-1], m.Content[at+1:]...)
	case value == nil:
	case at < 0:
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: path[0]}, value)
	default:
		value.LineComment = m.Content[at].LineComment
		m.Content[at] = value
	}
}

// deviceNode finds what is said about a device, or begins it.
func deviceNode(root *yaml.Node, device string) *yaml.Node {
	at := child(root, "devices")
	if at < 0 {
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "devices"}, &yaml.Node{Kind: yaml.SequenceNode})
		at = len(root.Content) - 1
	}
	list := root.Content[at]
	if list.ShortTag() == "!!null" { // all entries are comments
		list.Kind, list.Tag, list.Value = yaml.SequenceNode, "", ""
	}
	for _, d := range list.Content {
		if i := child(d, "device"); i > 0 && d.Content[i].Value == device {
			return d
		}
	}
	d := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		{Kind: yaml.ScalarNode, Value: "device"}, {Kind: yaml.ScalarNode, Value: device, Style: yaml.DoubleQuotedStyle},
	}}
	list.Content = append(list.Content, d)
	return d
}

// prune takes out what says nothing any more: empty mappings, and devices with only a name.
func prune(m *yaml.Node) {
	for i := 1; i < len(m.Content); i += 2 {
		v := m.Content[i]
		if m.Content[i-1].Value == "devices" {
			var kept []*yaml.Node
			for _, d := range v.Content {
				if len(d.Content) > 2 {
					kept = append(kept, d)
				}
			}
			v.Content = kept
		}
		if (v.Kind == yaml.MappingNode || m.Content[i-1].Value == "devices") && len(v.Content) == 0 {
			m.Content = append(m.Content[:i-1], m.Content[i+1:]...)
			i -= 2
		}
	}
}
