//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// sizes gives the terminal's size whenever it changed, until ctx is done.
func (t *tty) sizes(ctx context.Context) <-chan *leasev1.WindowSize {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	out := make(chan *leasev1.WindowSize)
	go func() {
		defer signal.Stop(changed)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			select {
			case <-ctx.Done():
				return
			case out <- t.size():
			}
		}
	}()
	return out
}
