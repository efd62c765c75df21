//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exec runs a program in a job of the requester's.
func (n *network) exec(stdin string, args ...string) result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	cmd := n.Command(ctx, append([]string{"exec", "--data", laptop}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	_ = cmd.Run()
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func TestProgramsRunInATaskOnAnotherMachine(t *testing.T) {
	n := start(t)
	job := n.detach("-e", "WORD=of the task", "-w", "/tmp", "oci-archive:"+n.Path("busybox.tar"), "sh", "-c", "echo ready; sleep 600")
	n.await(job, "ready")
	big := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MiB
	for _, c := range []struct {
		stdin  string
		args   []string
		want   result
		prefix bool // of stderr
	}{
		{"", []string{job, "--", "sh", "-c", "echo out; echo err >&2; exit 42"}, result{"out\n", "err\n", 42}, false},
		{"", []string{"-e", "OWN=x y", job, "sh", "-c", "echo $WORD, $OWN, $PWD"}, result{"of the task, x y, /tmp\n", "", 0}, false},
		{"", []string{"-w", "/bin", job, "pwd"}, result{"/bin\n", "", 0}, false},
		{"", []string{job, "cat"}, result{"", "", 0}, false},
		{big, []string{"-i", job, "cat"}, result{big, "", 0}, false},
		{"", []string{job, "nothing-like-it"}, result{"", "rigmesh: nothing-like-it: not found\n", 127}, false},
		{"", []string{job, "/etc"}, result{"", "rigmesh: /etc: ", 126}, true},
		{"", []string{"-w", "/none", job, "pwd"}, result{"", "rigmesh: work in /none: no such file or directory\n", 126}, false},
		{"", []string{job, "sh", "-c", "kill -9 $$"}, result{"", "", 137}, false},
		{"", []string{job, "sh", "-c", "sleep 300 & echo left"}, result{"left\n", "", 0}, false},
	} {
		got := n.exec(c.stdin, c.args...)
		if c.prefix {
			got.stderr = got.stderr[:min(len(got.stderr), len(c.want.stderr))]
		}
		if got != c.want {
			t.Errorf("exec %q: code %d, %d bytes %.100q, %q", c.args, got.code, len(got.stdout), got.stdout, got.stderr)
		}
	}
	n.copies(job)
	ended := make(chan result, 1)
	go func() { ended <- n.exec("", job, "sh", "-c", "echo here > /tmp/here; sleep 500") }()
	n.until(func() bool { return n.exec("", job, "cat", "/tmp/here").code == 0 }, func() string { return "the program does not run" })
	if r := n.rigmesh("stop", "--data", laptop, "--grace", "1s", job); r.code != 0 {
		t.Errorf("stop: %s", r.stderr)
	}
	if r := <-ended; r.code != 137 || !strings.Contains(r.stderr, "the task has ended") {
		t.Errorf("a program whose task was stopped: %+v", r)
	}
	if r := n.exec("", job, "true"); r.code != 125 || !strings.Contains(r.stderr, "ended") {
		t.Errorf("exec in a job that has ended: %+v", r)
	}
}

// copies brings a folder into a job's task, and out of it again.
func (n *network) copies(job string) {
	n.t.Helper()
	in, out := n.Path("carried"), n.Path("back")
	if err := errors.Join(os.MkdirAll(filepath.Join(in, "sub"), 0o755), os.WriteFile(filepath.Join(in, "sub", "file"), bytes.Repeat([]byte("content\n"), 1<<17), 0o644),
		os.Symlink("sub/file", filepath.Join(in, "link"))); err != nil {
		n.t.Fatal(err)
	}
	for _, args := range [][]string{{in, job + ":/tmp"}, {job + ":/tmp/carried", out}, {job + ":/bin/sh", n.Path("shell")}} {
		if r := n.rigmesh(append([]string{"cp", "--data", laptop}, args...)...); r.code != 0 || r.stderr != "" {
			n.t.Errorf("cp %q: %+v", args, r)
		}
	}
	want, _ := os.ReadFile(filepath.Join(in, "sub", "file"))
	if got, err := os.ReadFile(filepath.Join(out, "link")); err != nil || !bytes.Equal(got, want) {
		n.t.Errorf("%d bytes of %d came back, %v", len(got), len(want), err)
	}
	if r := n.rigmesh("cp", "--data", laptop, job+":/no/such", out); r.code != 1 || !strings.Contains(r.stderr, "no such file") {
		n.t.Errorf("copying what is not there: %+v", r)
	}
	if r := n.rigmesh("cp", "--data", laptop, in, job+":/proc"); r.code != 1 || r.stderr == "" {
		n.t.Errorf("copying to where nothing can be: %+v", r)
	}
}
