//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/testnet/history"
)

// reboot restarts the machine in order, in the middle of a lease.
func reboot(ctx context.Context, s *site) (string, error) {
	return s.interrupted(ctx, func() error {
		// Its answer goes with the machine.
		if _, err := s.guest.send("systemctl reboot"); err != nil {
			return err
		}
		return s.guest.started(ctx)
	})
}

// powerCut ends the emulator in the middle of a lease. All that the machine's kernel had
// not yet handed to its disks is lost; what it had is kept, synced or not.
func powerCut(ctx context.Context, s *site) (string, error) {
	return s.interrupted(ctx, func() error {
		s.off()
		return s.on(ctx)
	})
}

// interrupted has the machine start anew in the middle of a lease. Its task cannot live
// through that: what counts is that both sides end the lease, and agree.
func (s *site) interrupted(ctx context.Context, restart func() error) (string, error) {
	const seconds = 3600
	job, before, err := s.count(ctx, seconds)
	if err != nil {
		return "", err
	}
	if err := s.await(ctx, "a heartbeat is signed", func() (bool, string, error) {
		j, err := s.ps(ctx, job)
		return j.Beats > 0, fmt.Sprint(j), err
	}); err != nil {
		return "", err
	}
	if err := restart(); err != nil {
		return "", err
	}
	if err := s.awaitWorker(ctx); err != nil {
		return "", err
	}
	out, code, err := s.rigmeshHere(ctx, "attach", "--data", laptop, "--bootstrap", s.bootstrap, job)
	if err != nil {
		return "", err
	}
	if now, err := s.ps(ctx, job); err != nil || now.Lease != before.Lease || code != 125 || !strings.Contains(out, "was lost") {
		return "", fmt.Errorf("exit code %d, lease %s became %s, %v: %s", code, before.Lease, now.Lease, err, out)
	}
	said, err := s.receipt(ctx, job)
	if err != nil {
		return "", err
	}
	signed, err := s.histories(ctx)
	return fmt.Sprintf("exit code %d, %q; receipts equal, %s; %s", code, lastLine(out), said, signed), err
}

// histories stops both sides, has their journals checked, and starts the worker again.
func (s *site) histories(ctx context.Context) (string, error) {
	if _, err := s.requester(ctx, "down", "--data", laptop); err != nil {
		return "", err
	}
	there, err := s.guest.run(ctx, "systemctl stop rigmesh && tar -C "+dataDir+" -cz journal | base64 -w0; systemctl start rigmesh")
	if err != nil {
		return "", err
	}
	packed, err := base64.StdEncoding.DecodeString(there)
	if err != nil {
		return "", fmt.Errorf("unpack the worker's journal: %w", err)
	}
	if err := os.WriteFile(s.path("journal.tgz"), packed, 0o600); err != nil {
		return "", err
	}
	if err := command(ctx, "tar", "-C", s.dir, "--recursive-unlink", "-xzf", s.path("journal.tgz")); err != nil {
		return "", err
	}
	worker, err := history.Read(s.path("journal"))
	if err != nil {
		return "", fmt.Errorf("the worker's history: %w", err)
	}
	requester, err := history.Read(s.lab.Path(laptop, "journal"))
	if err != nil {
		return "", fmt.Errorf("the requester's history: %w", err)
	}
	if worker["beat"] == 0 || requester["ack"] == 0 {
		return "", fmt.Errorf("the worker's history has %d beats and the requester's %d acks: want some of each", worker["beat"], requester["ack"])
	}
	return fmt.Sprintf("%d beats and %d acks, none twice", worker["beat"], requester["ack"]), s.awaitWorker(ctx)
}

// suspend has the machine sleep in the middle of a lease.
func suspend(ctx context.Context, s *site) (string, error) {
	const seconds = 60
	started := time.Now()
	job, before, err := s.count(ctx, seconds)
	if err != nil {
		return "", err
	}
	if _, err := s.guest.send("echo mem >/sys/power/state"); err != nil {
		return "", err
	}
	select {
	case <-time.After(s.asleep):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := s.qmp.do("system_wakeup"); err != nil {
		return "", err
	}
	said, err := s.finish(ctx, job, before.Lease, seconds)
	if err != nil {
		return "", err
	}
	credit, err := s.credit(ctx, job)
	if awake := time.Since(started) - s.asleep; err == nil && credit > awake+interval {
		err = fmt.Errorf("%s credited, and the machine was awake for %s", credit, awake)
	}
	return fmt.Sprintf("asleep for %s; %s", s.asleep, said), err
}

// credit is the time that a job's receipt credits.
func (s *site) credit(ctx context.Context, job string) (time.Duration, error) {
	out, err := s.requester(ctx, "receipt", "list", "--data", laptop, "--json")
	if err != nil {
		return 0, err
	}
	var receipts []struct {
		Job    string
		Credit int64 `json:"credit_ms"`
	}
	if err := json.Unmarshal([]byte(out), &receipts); err != nil {
		return 0, fmt.Errorf("receipt list --json: %w: %s", err, out)
	}
	for _, r := range receipts {
		if r.Job == job {
			return time.Duration(r.Credit) * time.Millisecond, nil
		}
	}
	return 0, fmt.Errorf("no receipt of job %s", job)
}

// lossy has the wire lose and delay packets both ways while a job runs.
func lossy(ctx context.Context, s *site) (string, error) {
	const seconds = 60
	const worse = "modprobe ifb numifbs=1 && ip link set ifb0 up && tc qdisc add dev eth0 ingress && " +
		"tc filter add dev eth0 parent ffff: matchall action mirred egress redirect dev ifb0 && " +
		"for d in eth0 ifb0; do tc qdisc add dev $d root netem loss 30% delay 50ms 20ms || exit 1; done"
	job, before, err := s.count(ctx, seconds)
	if err != nil {
		return "", err
	}
	if _, err := s.guest.run(ctx, worse); err != nil {
		return "", err
	}
	said, err := s.finish(ctx, job, before.Lease, seconds)
	if err != nil {
		return "", err
	}
	lost, err := s.guest.run(ctx, "tc -s qdisc show dev ifb0 | sed -n 's/.*dropped \\([0-9]*\\).*/\\1/p' | head -1; tc qdisc del dev eth0 root; tc qdisc del dev eth0 ingress; ip link del ifb0")
	return fmt.Sprintf("%s packets to the worker lost; %s", lost, said), err
}
