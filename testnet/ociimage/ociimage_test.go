package ociimage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSameTreeMakesTheSameArchive(t *testing.T) {
	dir := t.TempDir()
	var archives [][]byte
	for n, name := range []string{"one", "two"} {
		tree := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(tree, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(tree, "bin", "program")
		if err := os.WriteFile(file, []byte("content"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("program", filepath.Join(tree, "bin", "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.Unix(int64(n), 0)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".tar")
		if err := FromDir(path, tree, Options{Cmd: []string{"program"}}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, b)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives differ")
	}
}
