//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// childOfWorker names the worker's containerd in a look.
const childOfWorker = "containerd"

// wholeMachine names all processes, and the kernel, beside it.
const wholeMachine = "machine"

// look is what both nodes hold, and what the worker's tasks left on its host.
type look struct {
	of        map[string]usage // by data directory, and the child
	machine   time.Duration    // of all cores, busy since the machine booted
	mounts    int
	snapshots int
	bundles   int
	cgroups   int
	sockets   int
	claims    int
}

// busy is the CPU time that both nodes and the child have used so far.
func (l look) busy() time.Duration {
	var sum time.Duration
	for _, u := range l.of {
		sum += u.cpu
	}
	return sum
}

func (p *pair) look() (look, error) {
	l := look{of: map[string]usage{}, machine: busyCores()}
	data := p.lab.Path(workerDir, "containerd")
	child, err := childOf(data)
	if err != nil {
		return l, err
	}
	for name, pid := range map[string]int{workerDir: p.worker.PID(), requesterDir: p.requester.PID(), childOfWorker: child} {
		if l.of[name], err = usageOf(pid); err != nil {
			return l, err
		}
	}
	state := stateOf(data)
	l.mounts = mounts(state, data)
	l.snapshots = children(data, "containerd", "io.containerd.snapshotter.v1.overlayfs", "snapshots")
	bundles, err := filepath.Glob(filepath.Join(state, "io.containerd.runtime.v2.task", "*", "*"))
	if err != nil {
		return l, err
	}
	l.bundles, l.sockets = len(bundles), children(state, "s")
	left, err := p.lab.Remains()
	l.cgroups = len(left.Cgroups)
	l.claims = claims(data)
	return l, err
}

// claims counts the ranges of users that tasks in a data folder hold.
func claims(data string) int {
	entries, _ := os.ReadDir("/run/rigmesh/users")
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join("/run/rigmesh/users", e.Name())); err == nil && strings.HasPrefix(to, data+"/") {
			n++
		}
	}
	return n
}

// change prints a count before and after.
func change(before, after int) string {
	return strconv.Itoa(before) + " → " + strconv.Itoa(after)
}
