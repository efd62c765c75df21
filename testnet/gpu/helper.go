//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

func (c *check) crash(ctx context.Context) (string, error) {
	return c.disturb(ctx, syscall.SIGKILL, gpu.FaultCrash)
}

func (c *check) hang(ctx context.Context) (string, error) {
	return c.disturb(ctx, syscall.SIGSTOP, gpu.FaultHang)
}

// disturb sends the helper a signal, and measures until the card is out of service and back.
func (c *check) disturb(ctx context.Context, s syscall.Signal, want gpu.Fault) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	var out, back time.Duration
	_, err := c.record(ctx, func(t *tape) error {
		if err := t.until(ctx, func() bool { return len(t.samples) > 1 }); err != nil {
			return fmt.Errorf("no sample: %w", err)
		}
		if err := c.signalHelper(s); err != nil {
			return err
		}
		begun := time.Now()
		seen := func(f gpu.Fault, n int) func() bool {
			return func() bool { return len(t.changes) >= n && t.changes[n-1].Fault == f }
		}
		if err := t.until(ctx, seen(want, 1)); err != nil {
			return fmt.Errorf("the card is not out of service: %w", err)
		}
		out = time.Since(begun)
		if err := t.until(ctx, seen(gpu.FaultNone, 2)); err != nil {
			return fmt.Errorf("the card does not come back: %w", err)
		}
		back = time.Since(begun)
		return nil
	})
	if err != nil {
		return "", err
	}
	if out > 1500*time.Millisecond {
		return "", fmt.Errorf("out of service only after %s", out)
	}
	return fmt.Sprintf("out of service after %d ms, back after %d ms", out.Milliseconds(), back.Milliseconds()), nil
}

// signalHelper finds the helper of this process by its file.
func (c *check) signalHelper(s syscall.Signal) error {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || target != c.helper {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, s)
	}
	return fmt.Errorf("no %s runs", c.helper)
}
