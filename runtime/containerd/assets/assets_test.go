//go:build linux

package assets

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestProgramsOfTheEnvironmentGoFirst(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(helpersVariable, dir)
	for _, name := range []string{runcName, shimName, initName, nvmlName} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/true\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	programs, err := Extract(t.TempDir())
	if err != nil || programs != (Programs{filepath.Join(dir, runcName), filepath.Join(dir, shimName), filepath.Join(dir, initName)}) {
		t.Errorf("got %+v, %v", programs, err)
	}
	if path, err := ExtractNVML(t.TempDir()); err != nil || path != filepath.Join(dir, nvmlName) {
		t.Errorf("got %q, %v", path, err)
	}
	if err := Check(); err != nil {
		t.Error(err)
	}
}

func TestWhatWasExtractedIsFoundAgainAndRuns(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if _, err := Extracted(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	programs, err := Extract(dir)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := Extracted(dir); err != nil || found != programs {
		t.Errorf("extracted %+v, found %+v, %v", programs, found, err)
	}
	out, err := exec.Command(programs.Runc, "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "runc version") {
		t.Errorf("runc --version: %s %v", out, err)
	}
}
