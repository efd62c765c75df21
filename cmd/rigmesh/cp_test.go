package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime/carry"
)

// fakeCopy packs and unpacks folders of this machine as if they were in the fake job. A
// path with "evil" in it is packed by somebody who is not honest.
func fakeCopy(link *session.PipeEnd, start *leasev1.ExecStart, stdout func([]byte)) {
	var err error
	switch {
	case strings.Contains(start.Args[0], "evil"):
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range []*tar.Header{{Typeflag: tar.TypeDir, Name: "."}, {Typeflag: tar.TypeSymlink, Name: "up", Linkname: "."}, {Typeflag: tar.TypeReg, Name: "up/evil"}} {
			_ = w.WriteHeader(h)
		}
		_ = w.Close()
		stdout(b.Bytes())
	case start.Program == leasev1.ExecProgram_EXEC_PROGRAM_PACK:
		var b bytes.Buffer
		err = carry.Pack(&b, start.Args[0], func(string) {})
		for piece := make([]byte, 32<<10); err == nil; {
			n, done := b.Read(piece)
			stdout(append([]byte(nil), piece[:n]...))
			if done != nil {
				break
			}
		}
	default:
		r, w := io.Pipe()
		go func() {
			for {
				var f leasev1.ExecFrame
				if err := link.Recv(&f); err != nil {
					_ = w.CloseWithError(err)
					return
				}
				if f.GetStdinEnd() != nil {
					_ = w.Close()
					return
				}
				_, _ = w.Write(f.GetStdin())
			}
		}()
		err = carry.Unpack(r, start.Args[0], start.Args[1], carry.Options{Bytes: 1 << 30, Entries: 1000, OutsideLinks: true})
		_ = r.Close()
	}
	end := &leasev1.ExecEnded{}
	if err != nil {
		end.Code = 1
		_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Stderr{Stderr: []byte("rigmesh: " + err.Error() + "\n")}})
	}
	_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Ended{Ended: end}})
}

func TestFilesAreCopiedOutOfATaskAndIntoIt(t *testing.T) {
	f := startFakeNode(t)
	task, here := t.TempDir(), t.TempDir()
	big := strings.Repeat("0123456789abcde\n", 1<<15)
	write(t, filepath.Join(task, "out", "model"), big)
	write(t, filepath.Join(here, "data", "a"), "one")
	for _, c := range []struct{ from, to, at, want string }{
		{"3f2a:" + task + "/out", here, filepath.Join(here, "out", "model"), big},
		{"3f2a:" + task + "/out/.", filepath.Join(here, "new"), filepath.Join(here, "new", "model"), big},
		{"3f2a:" + task + "/out/model", filepath.Join(here, "file"), filepath.Join(here, "file"), big},
		{filepath.Join(here, "data"), "3f2a:" + task, filepath.Join(task, "data", "a"), "one"},
		{filepath.Join(here, "data", "a"), "3f2a:" + task + "/b", filepath.Join(task, "b"), "one"},
	} {
		if stdout, stderr, code := f.rigmesh("cp", c.from, c.to); code != 0 || stdout != "" || stderr != "" {
			t.Errorf("cp %s %s: %d, %s%s", c.from, c.to, code, stdout, stderr)
		}
		if b, err := os.ReadFile(c.at); err != nil || string(b) != c.want {
			t.Errorf("cp %s %s made %d bytes, %v", c.from, c.to, len(b), err)
		}
	}
}

func TestACopyThatCannotBeSaysWhy(t *testing.T) {
	f := startFakeNode(t)
	task, here := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(task, "model"), make([]byte, 100<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"a", "b"}, "one of \"a\" and \"b\" must be in a job", 2},
		{[]string{"3f2a:/a", "77aa:/b"}, "must be in a job, and one here", 2},
		{[]string{"./3f2a:a", "b"}, "must be in a job", 2},
		{[]string{"3f2a:" + task + "/none", here}, "rigmesh: stat " + task + "/none", 1},
		{[]string{filepath.Join(here, "none"), "3f2a:" + task}, "none: no such file", 1},
		{[]string{"3f2a:" + task + "/model", filepath.Join(here, "no", "where")}, "no such file", 1},
		{[]string{"--max-size", "50KiB", "3f2a:" + task + "/model", here}, "--max-size allows more", 1},
		{[]string{"3f2a:/evil", here}, "refused", 1},
		{[]string{"77aa:/x", here}, "not found", 1},
		{[]string{filepath.Join(task, "model"), "3f2a:/no/such/folder"}, "rigmesh: ", 1},
	} {
		_, stderr, code := f.rigmesh(append([]string{"cp"}, c.args...)...)
		if !strings.Contains(stderr, c.want) || code != c.code {
			t.Errorf("cp %q: %d, %s", c.args, code, stderr)
		}
	}
	left, err := os.ReadDir(here)
	for _, e := range left {
		if e.Name() != "evil" { // the folder itself
			t.Errorf("left %s, %v", e.Name(), err)
		}
	}
}
