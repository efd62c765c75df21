package main

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

// input is a folder or a file that is copied into the task: "DIR:/path[:ro]", "FILE:/path",
// "https://…[@sha256:…]:/path", "sha256:…:/path[:ro]".
type input struct {
	from     string // a path here, a URL, or the digest of what other nodes share
	path     string // in the task
	readOnly bool
}

func parseInput(text string) (input, error) {
	in := input{}
	rest, ro := strings.CutSuffix(text, ":ro")
	if !ro {
		rest = strings.TrimSuffix(rest, ":rw")
	}
	at := strings.LastIndex(rest, ":")
	if at <= 0 || !path.IsAbs(rest[at+1:]) {
		return in, fmt.Errorf("folder %q: want DIR:/path, DIR:/path:ro, FILE:/path, URL:/path or sha256:…:/path", text)
	}
	return input{from: rest[:at], path: path.Clean(rest[at+1:]), readOnly: ro}, nil
}

func (in input) String() string {
	s := in.from + ":" + in.path
	if in.readOnly {
		s += ":ro"
	}
	return s
}

// check says why an input cannot be read. What is inside is found out by packing it.
func (in input) check() error {
	if in.onTheWeb() {
		return in.checkURL()
	}
	if in.shared() {
		if err := blob.Check(in.from); err != nil {
			return fmt.Errorf("input %s: %w", in.from, err)
		}
		return nil
	}
	info, err := os.Stat(in.from)
	if err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return fmt.Errorf("input %s is neither a folder nor a regular file", in.from)
	}
	d, err := os.Open(in.from)
	if err != nil {
		return fmt.Errorf("input: %w", err)
	}
	return d.Close()
}
