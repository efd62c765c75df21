//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// serviceInstall makes the machine a worker as its owner would.
func serviceInstall(ctx context.Context, s *site) (string, error) {
	settings := fmt.Sprintf("simulate-gpu: rtx-4090:2\nlisten: [/ip4/%s/tcp/4001]\n", guestAddress)
	if _, err := s.guest.run(ctx, fmt.Sprintf("printf '%s' >%s/config.yaml && %s service install", settings, dataDir, program)); err != nil {
		return "", err
	}
	if err := s.awaitWorker(ctx); err != nil {
		return "", err
	}
	out, err := s.guest.run(ctx, "systemctl is-enabled rigmesh; systemctl is-active rigmesh")
	return strings.Join(strings.Fields(out), ", "), err
}

// awaitWorker waits until the worker in the machine answers.
func (s *site) awaitWorker(ctx context.Context) error {
	out, err := s.guest.await(ctx, program+" status --json")
	if err != nil {
		log, _, _ := s.guest.try(context.WithoutCancel(ctx), "systemctl status --no-pager -n 20 rigmesh")
		return fmt.Errorf("%w\n%s", err, log)
	}
	var status struct{ Addresses []string }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("status --json: %w: %s", err, out)
	}
	if len(status.Addresses) == 0 {
		return fmt.Errorf("the worker has no address: %s", out)
	}
	s.bootstrap = status.Addresses[0]
	return nil
}

func oneJob(ctx context.Context, s *site) (string, error) {
	out, code, err := s.job(ctx, "-q", "oci-archive:busybox.tar", "sh", "-c", "uname -r; exit 7")
	if err == nil && code != 7 {
		err = fmt.Errorf("exit code %d, want the job's 7: %s", code, out)
	}
	return "exit code 7 and " + strings.TrimSpace(out) + " printed", err
}

// serviceRestart kills the node, and stops and starts its service, in the middle of a job.
func serviceRestart(ctx context.Context, s *site) (string, error) {
	const seconds = 60
	job, before, err := s.count(ctx, seconds)
	if err != nil {
		return "", err
	}
	for _, step := range []string{
		"kill -9 $(systemctl show -P MainPID rigmesh)",
		"test $(systemctl show -P NRestarts rigmesh) -ge 1 && systemctl is-active rigmesh",
		"systemctl stop rigmesh && ! systemctl is-active rigmesh && " + taskRuns,
		"systemctl start rigmesh",
	} {
		if _, err := s.guest.await(ctx, step); err != nil {
			return "", err
		}
	}
	if err := s.awaitWorker(ctx); err != nil {
		return "", err
	}
	said, err := s.finish(ctx, job, before.Lease, seconds)
	return "killed: started again by systemd; stopped: the task ran on; exit code and output exact, receipts equal, " + said, err
}

// taskRuns succeeds while a task's own processes run: each has a control group.
const taskRuns = "cat /sys/fs/cgroup/rigmesh-*/*/cgroup.procs | grep -q ."

// serviceRemove takes the service away, and puts it back for what follows.
func serviceRemove(ctx context.Context, s *site) (string, error) {
	_, err := s.guest.run(ctx, program+" service remove && ! systemctl is-active rigmesh && "+
		"test ! -e /etc/systemd/system/rigmesh.service && test -d "+dataDir+"/journal")
	if err != nil {
		return "", err
	}
	if _, err := serviceInstall(ctx, s); err != nil {
		return "", fmt.Errorf("install it again: %w", err)
	}
	return "stopped, unit gone, data kept; installed again", nil
}
