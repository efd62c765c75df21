//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// group is the control group of the one task that runs; a script begins with it.
const group = "cd /sys/fs/cgroup/rigmesh-*/*/ && "

// limitsSet reads what the kernel was told about a task, before and after systemd
// has gone over the groups that are its own.
func limitsSet(ctx context.Context, s *site) (string, error) {
	job, err := s.begin(ctx, "up", "--cpus", "0.5", "--memory", "256MiB", "oci-archive:busybox.tar", "sh", "-c", "echo up; sleep 3600")
	if err != nil {
		return "", err
	}
	const read = group + "for f in cpu.max memory.max memory.swap.max pids.max io.max; do echo $f=$(cat $f); done"
	before, err := s.guest.run(ctx, read)
	if err != nil {
		return "", err
	}
	after, err := s.guest.run(ctx, "systemctl daemon-reload && "+read)
	if err != nil {
		return "", err
	}
	if before != after {
		return "", fmt.Errorf("systemd changed a task's limits: %s became %s", before, after)
	}
	for _, want := range []string{"cpu.max=50000 100000", "memory.max=268435456", "memory.swap.max=0", "rbps=268435456 wbps=268435456"} {
		if !strings.Contains(before, want) {
			err = errors.Join(err, fmt.Errorf("no %s in %s", want, before))
		}
	}
	if strings.Contains(before, "pids.max=max") {
		err = errors.Join(err, errors.New("processes are not limited"))
	}
	return strings.Join(strings.Split(before, "\n"), ", "), errors.Join(err, s.stop(ctx, job))
}

// memoryHolds has a job take memory without end.
func memoryHolds(ctx context.Context, s *site) (string, error) {
	out, code, err := s.job(ctx, "--memory", "64MiB", "oci-archive:busybox.tar", "sh", "-c", "x=0123456789abcdef; while :; do x=$x$x; done")
	switch {
	case err != nil:
		return "", err
	case code != 137 || !strings.Contains(out, "memory"):
		return "", fmt.Errorf("exit code %d, want 137 and a word about memory: %s", code, out)
	}
	return fmt.Sprintf("exit code %d: %s", code, lastLine(out)), nil
}

// processesHold has a job fork without end.
func processesHold(ctx context.Context, s *site) (string, error) {
	job, err := s.begin(ctx, "bounded", "oci-archive:busybox.tar", "sh", "-c", "(while :; do sleep 3600 & done) 2>/dev/null; echo bounded; sleep 3600")
	if err != nil {
		return "", err
	}
	out, err := s.guest.run(ctx, group+"echo $(cat pids.current) of $(cat pids.max) processes, $(sed -n 's/max //p' pids.events) forks refused")
	if err != nil {
		return "", err
	}
	var now, most, refused int
	if _, err := fmt.Sscanf(out, "%d of %d processes, %d", &now, &most, &refused); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	if now > most || refused == 0 {
		err = fmt.Errorf("not bounded: %s", out)
	}
	return out, errors.Join(err, s.stop(ctx, job))
}

// cpuHolds has a job with half a core use two.
func cpuHolds(ctx context.Context, s *site) (string, error) {
	job, err := s.begin(ctx, "up", "--cpus", "0.5", "oci-archive:busybox.tar", "sh", "-c", "echo up; (while :; do :; done) & while :; do :; done")
	if err != nil {
		return "", err
	}
	// All three figures are by the machine's own clock, which counts when the emulator is slow too.
	const look = "echo $(cut -d' ' -f1 /proc/uptime) $(sed -n 's/usage_usec //p;s/nr_throttled //p' cpu.stat)"
	out, err := s.guest.run(ctx, group+look+"; sleep 20; "+look)
	if err != nil {
		return "", err
	}
	f := strings.Fields(out)
	if len(f) != 6 {
		return "", fmt.Errorf("not six figures: %s", out)
	}
	n := make([]float64, 6)
	for i := range f {
		if n[i], err = strconv.ParseFloat(f[i], 64); err != nil {
			return "", err
		}
	}
	cores, throttled := (n[4]-n[1])/1e6/(n[3]-n[0]), n[5]-n[2]
	if cores > 0.55 || throttled == 0 {
		err = fmt.Errorf("used %.2f cores of 0.5, held back %.0f times", cores, throttled)
	}
	return fmt.Sprintf("%.2f cores used of 0.5 by two loops, held back %.0f times", cores, throttled), errors.Join(err, s.stop(ctx, job))
}
