package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// outputDir is a folder of the task that comes back: "/path:DIR".
type outputDir struct {
	path      string // in the task
	dir       string // here
	overwrite bool   // files in dir may be replaced
}

func parseOutput(text string) (outputDir, error) {
	from, to, ok := strings.Cut(text, ":")
	if !ok || to == "" || !path.IsAbs(from) {
		return outputDir{}, fmt.Errorf("output %q: want /path:DIR", text)
	}
	return outputDir{path: path.Clean(from), dir: to}, nil
}

func (o outputDir) String() string { return o.path + ":" + o.dir }

// insidePartial is where a folder is put together that is there already.
const insidePartial = ".rigmesh-partial"

// partial is where the folder is put together: on the file system that it stands on, so
// that its files only need to be renamed.
func (o outputDir) partial() string {
	if dirExists(o.dir) {
		return filepath.Join(o.dir, insidePartial)
	}
	return filepath.Clean(o.dir) + ".partial"
}

// checkOutputs says why a folder cannot be written, before anything is paid for it, and
// remembers whether files in it may be replaced.
func checkOutputs(outputs []outputDir, overwrite bool) error {
	paths := map[string]string{} // by where they go
	for i, o := range outputs {
		outputs[i].overwrite = overwrite
		at, err := filepath.Abs(o.dir)
		if err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = real
		}
		if other, twice := paths[at]; twice {
			return usagef("outputs %s and %s both go into %s: want a folder for each", other, o.path, o.dir)
		}
		paths[at] = o.path
		if err := outputs[i].check(at); err != nil {
			return err
		}
	}
	return nil
}

// check looks at the folder, which is at an absolute path without links.
func (o outputDir) check(at string) error {
	entries, err := os.ReadDir(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(at); err == nil {
			return fmt.Errorf("output folder %s is a link to nothing", o.dir)
		}
		return tryWriting(filepath.Dir(at))
	case err != nil:
		return fmt.Errorf("output folder: %w", err)
	}
	holds := func(e fs.DirEntry) bool { return e.Name() != insidePartial } // left by a program that was killed
	if slices.ContainsFunc(entries, holds) && !o.overwrite {
		return hint(fmt.Errorf("output folder %s is not empty", o.dir), "choose another, or allow files in it to be replaced with --overwrite")
	}
	return tryWriting(at)
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
func (o outputDir) install(partial string) error {
	if filepath.Base(partial) != insidePartial {
		if err := os.Rename(partial, o.dir); err != nil {
			return fmt.Errorf("put output into place: %w", err)
		}
		return nil
	}
	if !o.overwrite {
		if err := o.each(partial, free); err != nil {
			return fmt.Errorf("put output into place: %w", err)
		}
	}
	if err := o.each(partial, move); err != nil {
		return fmt.Errorf("put output into place: %w", err)
	}
	return os.RemoveAll(partial)
}

// each does something with everything in partial: where it is, and where it goes.
func (o outputDir) each(partial string, do func(from, to string, d fs.DirEntry) error) error {
	return filepath.WalkDir(partial, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(partial, from)
		if err != nil {
			return err
		}
		return do(from, filepath.Join(o.dir, rel), d)
	})
}

// free refuses what is there already: it came while the task ran.
func free(_, to string, d fs.DirEntry) error {
	if d.IsDir() && dirExists(to) {
		return nil
	}
	_, err := os.Lstat(to)
	switch {
	case err == nil:
		return fmt.Errorf("%s is there already: choose another folder, or allow files to be replaced with --overwrite", to)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

func move(from, to string, d fs.DirEntry) error {
	if d.IsDir() {
		return os.MkdirAll(to, 0o755)
	}
	return os.Rename(from, to)
}
