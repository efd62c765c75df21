// Command mutants puts known bugs into the code, one at a time, and says which tests find
// which. A bug that nothing finds is a hole in the tests.
//
//	go run ./testnet/mutants            all bugs
//	go run ./testnet/mutants -bug slot  those with "slot" in their name
//
// The tree itself is never changed: the compiler is given other contents for one file.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	only := flag.String("bug", "", "part of a bug's name")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only string) error {
	var missed []string
	for _, b := range bugs {
		if !strings.Contains(b.name, only) {
			continue
		}
		by, tried, err := b.hunted()
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Printf("mutant %-34s found by %d of %d: %s\n", b.name, len(by), tried, strings.Join(by, ", "))
		if len(by) == 0 {
			missed = append(missed, b.name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("nothing finds %s", strings.Join(missed, ", "))
	}
	return nil
}

// hunted tries every hunt that could find a bug, and names those that did.
func (b bug) hunted() (by []string, tried int, err error) {
	overlay, err := b.overlay()
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(filepath.Dir(overlay))
	for _, h := range hunts {
		reached, err := h.reaches(b.file)
		if err != nil {
			return nil, 0, err
		}
		if !reached {
			continue
		}
		tried++
		found, err := h.finds(overlay)
		if err != nil {
			return nil, 0, err
		}
		if found {
			by = append(by, h.by)
		}
	}
	return by, tried, nil
}

// overlay writes the changed file, and what tells the compiler to take it.
func (b bug) overlay() (string, error) {
	good, err := os.ReadFile(b.file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(good, []byte(b.old)); n != 1 {
		return "", fmt.Errorf("%q stands %d times in %s, want once", b.old, n, b.file)
	}
	dir, err := os.MkdirTemp("", "rigmesh-mutant-")
	if err != nil {
		return "", err
	}
	bad := filepath.Join(dir, filepath.Base(b.file))
	if err := os.WriteFile(bad, bytes.Replace(good, []byte(b.old), []byte(b.new), 1), 0o600); err != nil {
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

// reaches says whether a hunt's tests run code of a file's package.
func (h hunt) reaches(file string) (bool, error) {
	out, err := exec.Command("go", "list", "-deps", "-test", "-f", "{{.ImportPath}}", h.pkg).Output()
	if err != nil {
		return false, fmt.Errorf("list what %s needs: %w", h.pkg, err)
	}
	want := "github.com/rigmesh/rigmesh/" + path.Dir(file)
	return slices.Contains(strings.Fields(string(out)), want), nil
}

// finds runs a hunt. A bug that does not compile is no bug.
func (h hunt) finds(overlay string) (bool, error) {
	out, err := exec.Command("go", "test", "-count=1", "-timeout=5m", "-overlay", overlay, "-run", h.run, h.pkg).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false, nil
	case !errors.As(err, &exit):
		return false, err
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return false, fmt.Errorf("%s does not compile with it: %s", h.pkg, out)
	}
	return true, nil
}
