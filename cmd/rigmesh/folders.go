package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
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

// outputDir is a folder of the task that comes back: "/path:DIR".
type outputDir struct {
	path string // in the task
	dir  string // here
}

func parseOutput(text string) (outputDir, error) {
	from, to, ok := strings.Cut(text, ":")
	if !ok || to == "" || !path.IsAbs(from) {
		return outputDir{}, fmt.Errorf("output %q: want /path:DIR", text)
	}
	return outputDir{path: path.Clean(from), dir: to}, nil
}

func (o outputDir) String() string { return o.path + ":" + o.dir }

// partial is where the folder is put together.
func (o outputDir) partial() string { return filepath.Clean(o.dir) + ".partial" }

// check says why the folder cannot be written, before anything is paid for it.
func (o outputDir) check(overwrite bool) error {
	entries, err := os.ReadDir(o.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("output folder: %w", err)
	case len(entries) > 0 && !overwrite:
		return hint(fmt.Errorf("output folder %s is not empty", o.dir), "choose another, or allow files in it to be replaced with --overwrite")
	}
	abs, err := filepath.Abs(o.dir)
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	if err := tryWriting(filepath.Dir(abs)); err != nil {
		return err
	}
	if len(entries) > 0 || err == nil && dirExists(abs) {
		return tryWriting(abs)
	}
	return nil
}

func dirExists(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// tryWriting makes a file in dir, or in the nearest parent that exists, and removes it.
func tryWriting(dir string) error {
	for !dirExists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".rigmesh-*")
	if err != nil {
		return fmt.Errorf("output folder is not writable: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// install puts what arrived in partial where it was asked for: by renaming it, or
// file by file into a folder that is there.
func (o outputDir) install() error {
	if !dirExists(o.dir) {
		if err := os.Rename(o.partial(), o.dir); err != nil {
			return fmt.Errorf("put output into place: %w", err)
		}
		return nil
	}
	root := o.partial()
	err := filepath.WalkDir(root, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, from)
		if err != nil {
			return err
		}
		to := filepath.Join(o.dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		return os.Rename(from, to)
	})
	if err != nil {
		return fmt.Errorf("put output into place: %w", err)
	}
	return os.RemoveAll(root)
}
