//go:build linux

package lab

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestProcessesOfALabAreFoundAndCleared(t *testing.T) {
	l := newLab(t)
	p, err := l.Start("node", "-c", "trap '' INT; read nothing </dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	left, err := l.Remains()
	if err != nil {
		t.Fatal(err)
	}
	if len(left.Processes) != 1 || left.Processes[0].PID != p.PID() {
		t.Fatalf("found %v, want pid %d", left.Processes, p.PID())
	}
	if err := l.Clear(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if left, err := l.Remains(); err != nil || !left.None() {
		t.Fatalf("after Clear: %s, %v", left, err)
	}
}

// A task that its worker's owner holds, say, when the test is killed.
func TestATaskThatStandsStillIsCleared(t *testing.T) {
	const freezer = "/sys/fs/cgroup/freezer"
	if _, err := os.Stat(freezer); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root, and control groups version 1: under version 2 what stands still can be killed")
	}
	l := newLab(t)
	p, err := l.Start("node", "-c", "exec sleep 3600")
	if err != nil {
		t.Fatal(err)
	}
	peer := filepath.Base(l.Dir)[strings.LastIndex(filepath.Base(l.Dir), "-")+1:]
	group := filepath.Join(freezer, "rigmesh-"+peer)
	err = errors.Join(os.WriteFile(l.Path(peersFile), []byte(peer), 0o600), os.Mkdir(group, 0o755),
		os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(p.PID())), 0),
		os.WriteFile(filepath.Join(group, "freezer.state"), []byte("FROZEN"), 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Clear(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(group); !os.IsNotExist(err) {
		t.Errorf("the control group is still there: %v", err)
	}
}

func TestStopInterruptsAndWaits(t *testing.T) {
	// Tests in the background of a script ignore interrupts, and what they start would as well.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	t.Cleanup(func() { signal.Reset(os.Interrupt) })
	l := newLab(t)
	p, err := l.Start("node", "-c", "exec sleep 3600")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	default:
		t.Fatal("Stop returned before the node had ended")
	}
}

func TestMountsOfALabAreFoundAndCleared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	l := newLab(t)
	point := l.Path("deep", "mount")
	if err := os.MkdirAll(point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", point, "tmpfs", 0, ""); err != nil {
		t.Skipf("this machine lets nobody mount: %v", err)
	}
	if left, err := l.Remains(); err != nil || len(left.Mounts) != 1 {
		t.Fatalf("found %v, %v", left, err)
	}
	if err := l.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Dir); !os.IsNotExist(err) {
		t.Fatalf("the folder is still there: %v", err)
	}
}

func TestALabOwnsWhatItsOwnNodesMadeAndNothingElse(t *testing.T) {
	l := newLab(t)
	for _, peer := range []string{"12D3KooWEyLabNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", "12D3KooWHe8AZKRJuso9vUzsdSc3qzV1on9ga5oThpwgPP6TQtRy"} {
		if err := l.remember(peer); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{
		"rigmesh-6vnc6idep":           false, // a letter less
		"rigmesh-j6vnc6idep":          true,
		"rigmesh-gpp6tqtry-task":      false,
		"rigmesh-wgpp6tqtry-task":     true,
		"rigmesh-lab-3542368280-hub":  false, // of another lab, though an id has these letters
		"rigmesh-test":                false,
		"rigmesh-":                    false,
		"somebody-elses":              false,
		"12d3koowhe8azkrjuso9vuzsdsc": false,
	} {
		if got := ownedBy(l.Dir, name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// newLab is a lab whose nodes are shells.
func newLab(t *testing.T) *Lab {
	t.Helper()
	l, err := New("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Clear(); err != nil {
			t.Error(err)
		}
	})
	return l
}
