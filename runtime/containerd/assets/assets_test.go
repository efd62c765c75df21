//go:build linux

package assets

import (
	"os"
	"path/filepath"
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
