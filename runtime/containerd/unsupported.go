//go:build !linux

// Package containerd runs tasks in containerd, which takes Linux. On other systems a
// node is a requester, and New says so.
package containerd

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"

	"github.com/rigmesh/rigmesh/runtime"
)

// ErrBusy: tasks still run.
var ErrBusy = errors.New("tasks still run")

const rangeSize = 65536

// Runtime exists only on Linux.
type Runtime struct{ runtime.Runtime }

// New always fails.
func New(Config) (*Runtime, error) {
	return nil, fmt.Errorf("running tasks takes Linux; on %s a node can be a requester", goruntime.GOOS)
}

// Open does nothing.
func (*Runtime) Open(context.Context) error { return nil }

// Close does nothing.
func (*Runtime) Close() error { return nil }

// Shutdown does nothing.
func (*Runtime) Shutdown(context.Context) error { return nil }

// Sweep does nothing.
func (*Runtime) Sweep(context.Context) error { return nil }
