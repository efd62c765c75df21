// Command mutants puts known bugs into the code, one at a time, and says which tests find
// which. A bug that nothing finds is a hole in the tests.
//
//	go run ./testnet/mutants            all bugs, all hunts
//	go run ./testnet/mutants -bug slot  bugs with "slot" in their name
//	go run ./testnet/mutants -first     each bug until something finds it: minutes instead of hours
//
// A hunt that finds something is run on the code as it is, too: one that fails there finds nothing.
// The tree itself is never changed: the compiler is given other contents for one file.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	only := flag.String("bug", "", "part of a bug's name")
	first := flag.Bool("first", false, "look no further for a bug that is found")
	flag.Parse()
	if err := run(*only, *first); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only string, first bool) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	var missed []string
	for _, b := range chosen {
		r, err := b.hunted(first)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Printf("mutant %-34s %s\n", b.name, r)
		if len(r.by) == 0 && r.tried > 0 {
			missed = append(missed, b.name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("nothing finds %s", strings.Join(missed, ", "))
	}
	return nil
}

// choose gives the bugs with a word in their name. Each must have its place in the code.
func choose(only string) ([]bug, error) {
	var chosen []bug
	for _, b := range bugs {
		if _, err := b.planted(); err != nil {
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
		if strings.Contains(b.name, only) {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no bug has %q in its name", only)
	}
	return chosen, nil
}

// result is what the hunts made of a bug.
type result struct {
	by    []string // who found it, with the first test that failed
	hung  []string // who did not come to an end, which is not a find
	tried int
}

func (r result) String() string {
	if r.tried == 0 {
		return "not tried: the hunts that could find it run containers, and that needs root"
	}
	s := fmt.Sprintf("found by %d of %d", len(r.by), r.tried)
	if len(r.by) > 0 {
		s += ": " + strings.Join(r.by, ", ")
	}
	if len(r.hung) > 0 {
		s += "; did not end: " + strings.Join(r.hung, ", ")
	}
	return s
}

// hunted tries the hunts that could find a bug: all, or until the first finds it.
func (b bug) hunted(first bool) (result, error) {
	var r result
	overlay, err := b.overlay()
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(filepath.Dir(overlay))
	for _, h := range hunts {
		if !h.reaches(b) || first && len(r.by) > 0 {
			continue
		}
		r.tried++
		end, err := h.run("-overlay", overlay)
		switch {
		case err != nil:
			return r, err
		case end.hung:
			r.hung = append(r.hung, h.by)
		case end.empty:
			return r, fmt.Errorf("%s has no test %q, or skips it", h.pkg, h.test)
		case end.failed:
			if err := h.prove(); err != nil {
				return r, fmt.Errorf("hunt %s without a bug: %w", h.by, err)
			}
			r.by = append(r.by, h.by+" ("+end.test+")")
		}
	}
	return r, nil
}

// planted is the bug's file with the bug in it.
func (b bug) planted() ([]byte, error) {
	good, err := os.ReadFile(b.file)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(good, []byte(b.old)); n != 1 {
		return nil, fmt.Errorf("%q stands %d times in %s, want once", b.old, n, b.file)
	}
	return bytes.Replace(good, []byte(b.old), []byte(b.new), 1), nil
}

// overlay writes the changed file, and what tells the compiler to take it.
func (b bug) overlay() (string, error) {
	content, err := b.planted()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "rigmesh-mutant-")
	if err != nil {
		return "", err
	}
	bad := filepath.Join(dir, filepath.Base(b.file))
	if err := os.WriteFile(bad, content, 0o600); err != nil {
		return "", err
	}
	file, err := filepath.Abs(b.file)
	if err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: bad}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}
