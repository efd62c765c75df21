//go:build linux

package containerd

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// A job that is user 0 owns the root folder, and so may rename what the init is mounted in.
func TestAJobCannotPutAProgramInThePlaceOfTheInit(t *testing.T) {
	h := open(t)
	const evil = "printf '#!/bin/sh\\ntouch /evil-ran\\n' > /.rigmesh/init; chmod 755 /.rigmesh/init"
	id, out := h.stays(t, "mv /.rigmesh /moved && mkdir /.rigmesh && "+evil+"; ls /.rigmesh /moved")
	if !strings.HasPrefix(out, "/.rigmesh:\ninit\n") {
		t.Fatalf("the job could not even try: %s", out)
	}
	var said, errs strings.Builder
	exit, err := h.Exec(t.Context(), id, runtime.Exec{
		Args: []string{"sh", "-c", "grep -e Cap -e NoNewPrivs -e Seccomp: /proc/self/status; id -u; ls /evil-ran"}, Stdout: &said, Stderr: &errs})
	if err != nil {
		t.Fatal(err)
	}
	want := "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n0\n"
	if said.String() != want || exit.Code == 0 {
		t.Errorf("exit %d, %s%s", exit.Code, &said, &errs)
	}
}

func TestAProgramWhoseNodeIsGoneEndsWhenTheNextOneComes(t *testing.T) {
	h := open(t)
	id, _ := h.stays(t, "true")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		_, err := h.Exec(ctx, id, runtime.Exec{Args: []string{"sh", "-c", "echo begun; sleep 601"}, Stdout: onWrite(func() { close(begun) })})
		ran <- err
	}()
	<-begun
	next := reopen(t, h.cfg.DataDir) // knows nothing of what the first one waits for
	if entries, err := os.ReadDir(h.paths.execs(id)); len(entries) != 0 {
		t.Errorf("%d programs are still there, %v", len(entries), err)
	}
	if err := <-ran; errors.Is(err, runtime.ErrNotFound) {
		t.Error(err)
	}
	var out strings.Builder
	if _, err := next.Exec(t.Context(), id, runtime.Exec{Args: []string{"sh", "-c", "ps | grep -c '[s]leep 601'"}, Stdout: &out}); err != nil || out.String() != "0\n" {
		t.Errorf("%q programs of the first node run on, %v", out.String(), err)
	}
}

// stays starts a task as user 0 that does as a line says, and stays. It gives what that printed.
func (h host) stays(t *testing.T, line string) (id, out string) {
	t.Helper()
	id = "stays"
	if err := h.Start(t.Context(), runtime.Spec{ID: id, Image: h.image, User: "0", Command: []string{"sh", "-c", line + "; echo ready; sleep 3600"}}); err != nil {
		t.Fatal(err)
	}
	r, err := h.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if lines.Text() == "ready" {
			return id, out
		}
		out += lines.Text() + "\n"
	}
	t.Fatal("the task has ended")
	return "", ""
}

type onWrite func()

func (w onWrite) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}
