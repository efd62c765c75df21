package main

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// witnesses are those of a job: peers by name, a number of any others, or both.
type witnesses struct {
	any   uint32
	peers []string
}

// IsZero implements yaml.IsZeroer: no witnesses are the default.
func (w witnesses) IsZero() bool { return w.any == 0 && len(w.peers) == 0 }

// add takes one word: none, a number, or a peer id.
func (w *witnesses) add(word string) error {
	word = strings.TrimSpace(word)
	if word == "none" {
		*w = witnesses{}
		return nil
	}
	if n, err := strconv.ParseUint(word, 10, 32); err == nil {
		w.any = uint32(n)
		return nil
	}
	if word == "" || strings.ContainsAny(word, " ,/") {
		return fmt.Errorf("witness %q: want none, a number, or a peer id", word)
	}
	w.peers = append(w.peers, word)
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler: one word, or a list of peers.
func (w *witnesses) UnmarshalYAML(n *yaml.Node) error {
	*w = witnesses{}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, word := range list {
		if word.Kind != yaml.ScalarNode {
			return lineError(word, "witnesses: want none, a number, or a list of peer ids")
		}
		if err := w.add(word.Value); err != nil {
			return lineError(word, "%v", err)
		}
	}
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (w witnesses) MarshalYAML() (any, error) {
	if len(w.peers) == 0 {
		return w.any, nil
	}
	words := append([]string{}, w.peers...)
	if w.any > 0 {
		words = append(words, strconv.FormatUint(uint64(w.any), 10))
	}
	return words, nil
}
