//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandsAreShownAsAPersonTypesThem(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up", "--price", "0.20"}, "rigmesh up --price 0.20"},
		{[]string{"run", "-v", "./in:/in:ro", "sh", "-c", "exit 7"}, "rigmesh run -v ./in:/in:ro sh -c 'exit 7'"},
		{[]string{"run", "it's"}, `rigmesh run 'it'\''s'`},
		{[]string{"run", ""}, "rigmesh run ''"},
	} {
		if got := typed(c.args); got != c.want {
			t.Errorf("typed %q: %s, want %s", c.args, got, c.want)
		}
	}
}

func TestResultsAreComparedWithWhatTheJobWasGiven(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	tree := filepath.Join(dir, "tree")
	for _, folder := range []string{out, tree} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"README.md": "two words\n", "A B.md": "", "LICENSE": "three more words\n"} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeInput(in, tree); err != nil {
		t.Fatal(err)
	}
	// The job's own script, in this machine's shell and folders, without its pauses.
	script := strings.NewReplacer("/in", in, "/out", out, "sleep 1", ":").Replace(script)
	if said, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if n, err := checkResults(in, out); err != nil || n != 3 {
		t.Fatalf("%d files, %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(in, "README.md"), []byte("two other words\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := checkResults(in, out); err == nil {
		t.Fatal("a file that came back different was not noticed")
	}
}
