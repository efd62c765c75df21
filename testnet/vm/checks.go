//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// check is one thing that is tried. It says what it saw.
type check struct {
	name    string
	always  bool // the others rest on it
	within  time.Duration
	attempt func(ctx context.Context, s *site) (seen string, err error)
}

// checks in the order in which they are made.
var checks = []check{
	{"boot", true, 20 * time.Minute, boot},
	{"service-install", true, 20 * time.Minute, serviceInstall},
	{"job", false, 20 * time.Minute, oneJob},
	{"service-restart", false, 20 * time.Minute, serviceRestart},
	{"service-remove", false, 20 * time.Minute, serviceRemove},
	{"limits-set", false, 20 * time.Minute, limitsSet},
	{"memory-holds", false, 20 * time.Minute, memoryHolds},
	{"processes-hold", false, 20 * time.Minute, processesHold},
	{"cpu-holds", false, 20 * time.Minute, cpuHolds},
	{"isolation", false, time.Hour, limitsInside},
	{"escapes", false, 2 * time.Hour, escapesInside},
	{"reboot", false, 30 * time.Minute, reboot},
	{"power-cut", false, 30 * time.Minute, powerCut},
	{"suspend", false, time.Hour, suspend},
	{"lossy-wire", false, 30 * time.Minute, lossy},
}

// checks makes those that are wanted, in order, prints a line for each, and says how many failed.
func (s *site) checks(ctx context.Context, wanted func(check) bool) (failed int) {
	for _, c := range checks {
		if !wanted(c) {
			continue
		}
		started := time.Now()
		seen, err := s.check(ctx, c)
		if ctx.Err() != nil {
			return failed // whoever ended us knows
		}
		took := time.Since(started).Round(time.Second)
		if err == nil {
			fmt.Printf("vm %s ok: %s (%s)\n", c.name, seen, took)
			continue
		}
		failed++
		fmt.Printf("vm %s FAILED after %s: %v\n", c.name, took, err)
		if c.always {
			return failed
		}
	}
	return failed
}

func (s *site) check(ctx context.Context, c check) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	return c.attempt(ctx, s)
}

func boot(ctx context.Context, s *site) (string, error) {
	if err := s.on(ctx); err != nil {
		return "", err
	}
	return s.guest.run(ctx, `echo "Linux $(uname -r), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), $(stat -fc %T /sys/fs/cgroup): $(cat /sys/fs/cgroup/cgroup.controllers)"`)
}
