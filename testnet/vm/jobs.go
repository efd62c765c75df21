//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// job runs a job of the requester's on the machine to its end.
func (s *site) job(ctx context.Context, args ...string) (string, int, error) {
	return s.rigmeshHere(ctx, append([]string{"run", "--data", laptop, "--bootstrap", s.bootstrap, "--simulated", "--wait", "5m", "--interval", interval.String()}, args...)...)
}

// interval is the time between two heartbeats of every job here. An emulated machine is slow.
const interval = 10 * time.Second

// counting is a job that counts seconds and exits with 7.
func counting(seconds int) []string {
	return []string{"oci-archive:busybox.tar", "sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo tick $i; i=$((i+1)); sleep 1; done; exit 7", seconds)}
}

// counted is its output.
func counted(seconds int) string {
	var b strings.Builder
	for i := range seconds {
		fmt.Fprintf(&b, "tick %d\n", i)
	}
	return strings.TrimSpace(b.String())
}

// begin starts a job, waits until it prints what it should, and gives its id.
func (s *site) begin(ctx context.Context, prints string, args ...string) (string, error) {
	out, code, err := s.job(ctx, append([]string{"-d", "-q"}, args...)...)
	if err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("run -d: exit code %d: %s", code, out))
	}
	job := strings.TrimSpace(out)
	return job, s.await(ctx, "job "+job+" prints "+prints, func() (bool, string, error) {
		out, _, err := s.rigmeshHere(ctx, "logs", "--data", laptop, job)
		return strings.Contains(out, prints), out, err
	})
}

// count begins a job that counts seconds, and says how it stands once it does.
func (s *site) count(ctx context.Context, seconds int) (job string, began listed, err error) {
	if job, err = s.begin(ctx, "tick 2", counting(seconds)...); err == nil {
		began, err = s.ps(ctx, job)
	}
	return job, began, err
}

// stop ends a job, and waits until the machine has nothing left of it.
func (s *site) stop(ctx context.Context, job string) error {
	if _, err := s.requester(ctx, "stop", "--data", laptop, job); err != nil {
		return err
	}
	_, err := s.guest.await(ctx, "! ls -d /sys/fs/cgroup/rigmesh-*/*/")
	return err
}

// await asks again and again until something is so; it says what was seen last otherwise.
func (s *site) await(ctx context.Context, what string, is func() (bool, string, error)) error {
	pause := time.NewTicker(2 * time.Second)
	defer pause.Stop()
	for {
		so, seen, err := is()
		if so || err != nil {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("not so in time: %s: %s", what, seen)
		}
	}
}

// listed is a job as ps shows it.
type listed struct {
	Job, Lease, State string
	Beats             uint64
}

// ps is how a job stands on the requester's side.
func (s *site) ps(ctx context.Context, job string) (listed, error) {
	out, err := s.requester(ctx, "ps", "--data", laptop, "--all", "--json")
	if err != nil {
		return listed{}, err
	}
	var all []listed
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return listed{}, fmt.Errorf("ps --json: %w: %s", err, out)
	}
	for _, j := range all {
		if j.Job == job {
			return j, nil
		}
	}
	return listed{}, fmt.Errorf("ps does not know job %s", job)
}

// finish follows a job that counts to its end, and checks that nobody can tell from code, output,
// lease and receipts that anything happened. It says what the receipt says.
func (s *site) finish(ctx context.Context, job, lease string, seconds int) (string, error) {
	out, code, err := s.rigmeshHere(ctx, "attach", "--data", laptop, "--bootstrap", s.bootstrap, job)
	if err != nil {
		return "", err
	}
	if code != 7 {
		return "", fmt.Errorf("attach exited with %d, want the job's 7: %s", code, out)
	}
	if logs, err := s.requester(ctx, "logs", "--data", laptop, job); err != nil || logs != counted(seconds) {
		return "", fmt.Errorf("the job's output is %q, %v", logs, err)
	}
	if now, err := s.ps(ctx, job); err != nil || now.Lease != lease {
		return "", fmt.Errorf("lease %s became %s, %v", lease, now.Lease, err)
	}
	return s.receipt(ctx, job)
}

// receipt takes a job's receipt from both sides, verifies it, and says what it says
// when both are the same.
func (s *site) receipt(ctx context.Context, job string) (string, error) {
	here := s.lab.Path(job + ".receipt")
	if _, err := s.requester(ctx, "receipt", "export", "--data", laptop, job, here); err != nil {
		return "", err
	}
	if _, err := s.requester(ctx, "receipt", "verify", here); err != nil {
		return "", err
	}
	mine, err := os.ReadFile(here)
	if err != nil {
		return "", err
	}
	there, err := s.guest.await(ctx, "rm -f /tmp/it; "+program+" receipt export "+job+" /tmp/it >/dev/null && base64 -w0 /tmp/it")
	if err != nil {
		return "", err
	}
	if there != base64.StdEncoding.EncodeToString(mine) {
		return "", fmt.Errorf("the two sides hold different receipts of job %s", job)
	}
	return s.credited(ctx, here)
}

// credited is what a receipt says of the time: "28s, in 5 heartbeats; gaps none".
func (s *site) credited(ctx context.Context, file string) (string, error) {
	out, err := s.requester(ctx, "receipt", "show", file)
	if err != nil {
		return "", err
	}
	said := make(map[string]string)
	for line := range strings.Lines(out) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[name] = strings.TrimSpace(text)
	}
	return fmt.Sprintf("credited %s; gaps %s", said["credited"], said["gaps"]), nil
}
