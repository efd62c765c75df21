package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// otherDisk is an empty folder on another file system than the tests' own.
func otherDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "rigmesh-*")
	if err != nil {
		t.Skip("wants a file system of its own at /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	probe := filepath.Join(t.TempDir(), "probe")
	write(t, probe, "")
	if err := os.Rename(probe, filepath.Join(dir, "probe")); !errors.Is(err, syscall.EXDEV) {
		t.Skip("wants a file system of its own at /dev/shm")
	}
	return dir
}

func TestOutputsGoThroughALinkToAnotherDisk(t *testing.T) {
	disk, link := otherDisk(t), filepath.Join(t.TempDir(), "out")
	if err := os.Symlink(disk, link); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(disk, insidePartial, "left"), "by a program that was killed")
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{}, f.output(t, "/out", "r/x", "result"))}
	if _, stderr, code := f.rigmesh("run", "-o", "/out:"+link, image(t), "prog"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if got := read(t, filepath.Join(disk, "r", "x")); got != "result" {
		t.Errorf("output %q", got)
	}
	if entries, err := os.ReadDir(disk); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: want what came alone", entries, err)
	}
}

func TestTwoOutputsDoNotGoIntoOneFolder(t *testing.T) {
	dir := t.TempDir()
	f := startFakeNode(t)
	for _, args := range [][]string{{"run", image(t), "prog"}, {"attach", "3f2a"}} {
		args = append(args[:1:1], append([]string{"--overwrite", "-o", "/a:" + dir, "-o", "/b:" + dir + "/."}, args[1:]...)...)
		if _, stderr, code := f.rigmesh(args...); code != 2 || !strings.Contains(stderr, "outputs /a and /b both go into") {
			t.Errorf("%s: exit code %d: %s", args[0], code, stderr)
		}
	}
}

func TestFilesThatCameWhileTheTaskRanAreReplacedOnlyWhenAllowed(t *testing.T) {
	dir := t.TempDir()
	o := outputDir{path: "/out", dir: dir}
	partial := o.partial()
	for _, name := range []string{"a", "sub/b", "z"} {
		write(t, filepath.Join(partial, name), "new")
	}
	write(t, filepath.Join(dir, "sub", "b"), "mine")
	if err := o.install(partial); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "sub", "b")) || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("install: %v", err)
	}
	if got := read(t, filepath.Join(dir, "sub", "b")); got != "mine" {
		t.Errorf("the file that came is %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "a")); err == nil {
		t.Error("half of the output is in its place")
	}
	o.overwrite = true
	if err := o.install(partial); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "sub", "b")); got != "new" {
		t.Errorf("with leave to replace it the file is %q", got)
	}
}
