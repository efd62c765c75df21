//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/client"

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
		return err
	}
	return r.gate.Close(id, u.slot())
}

// reconnect takes up the ways out of tasks that run, and closes those of all others.
func (r *Runtime) reconnect(ctx context.Context, live map[string]bool) error {
	var connected []string
	for id := range live {
		if record.Marked(r.paths.task(id), egressFile) {
			connected = append(connected, id)
		}
	}
	err := r.gate.Sweep(connected)
	for _, id := range connected {
		err = errors.Join(err, r.withTask(ctx, id, func(_ context.Context, task client.Task) error {
			return r.connectTask(id, task.Pid())
		}))
	}
	return err
}
