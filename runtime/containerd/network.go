//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/egress"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// keepEgress writes down what a task may reach, for a node that comes after us, and tells
// the task where its resolver is.
func (r *Runtime) keepEgress(l *launch) error {
	if l.spec.Egress.None() {
		return nil
	}
	l.resolvFile = filepath.Join(r.paths.task(l.spec.ID), resolvFile)
	text := "nameserver " + egress.Nameserver + "\n"
	return errors.Join(os.WriteFile(l.resolvFile, []byte(text), 0o644),
		record.Write(r.paths.task(l.spec.ID), egressFile, l.spec.Egress))
}

// connectTask opens a created task's way out, if it is to have one.
func (r *Runtime) connectTask(id string, pid uint32) error {
	dir := r.paths.task(id)
	var policy runtime.Egress
	if ok, err := record.Read(dir, egressFile, &policy); !ok || err != nil {
		return err
	}
	var u users
	if ok, err := record.Read(dir, claimFile, &u); !ok || err != nil {
		return fmt.Errorf("users of task %s: %v", id, err)
	}
	return r.gate.Open(egress.Task{ID: id, PID: int(pid), Slot: u.slot(), Policy: policy})
}

// slot is a number below 32,768 that no other task of this host has: ranges of users are
// below 1<<31 and no two tasks share one.
func (u users) slot() uint16 { return uint16(u.First / rangeSize) }

// disconnect closes a task's way out.
func (r *Runtime) disconnect(id string) error {
	var u users
	if !record.Marked(r.paths.task(id), egressFile) {
		return nil
	}
	if ok, err := record.Read(r.paths.task(id), claimFile, &u); !ok || err != nil {
		// None that can be read, as after a power cut. The link went with that; any that did
		// not goes with the next sweep.
		return nil
	}
	return r.gate.Close(id, u.slot())
}

// reconnect takes up the ways out of tasks that run, and closes those of all others. One that
// cannot be connected is cut off: no task may keep its node from starting.
func (r *Runtime) reconnect(ctx context.Context, live map[string]bool) error {
	pids, err := r.connected(ctx, live)
	if err != nil {
		return err
	}
	err = r.gate.Sweep(slices.Collect(maps.Keys(pids)))
	for id, pid := range pids {
		if problem := r.connectTask(id, pid); problem != nil {
			r.log.Warn("a task is cut off: its way out cannot be taken up again", "task", id, "err", problem)
			err = errors.Join(err, r.disconnect(id))
		}
	}
	return err
}

// connected are the tasks with a way out whose first process is still there, with its number:
// another process may have that of one that has ended.
func (r *Runtime) connected(ctx context.Context, live map[string]bool) (map[string]uint32, error) {
	pids := make(map[string]uint32)
	for id := range live {
		if !record.Marked(r.paths.task(id), egressFile) {
			continue
		}
		err := r.withTask(ctx, id, func(_ context.Context, task client.Task) error {
			process, err := r.hold(id, int(task.Pid()))
			if err != nil {
				return err
			}
			pids[id] = task.Pid()
			return unix.Close(process)
		})
		if err != nil && !errors.Is(err, runtime.ErrNotRunning) {
			return nil, fmt.Errorf("network of task %s: %w", id, err)
		}
	}
	return pids, nil
}
