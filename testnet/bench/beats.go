//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

const (
	// beatEvery is the interval of the lease whose beats are measured.
	beatEvery = 500 * time.Millisecond
	// beating is how long.
	beating = 10 * time.Second
)

// heartbeats measures what a beat and a receipt cost.
func (b *bench) heartbeats(ctx context.Context) (section, error) {
	progress("a lease with a beat every %s, for %s", beatEvery, beating)
	cost, o, err := b.beatCost(ctx)
	if err != nil {
		return section{}, fmt.Errorf("beats: %w", err)
	}
	_, receipt, err := b.pair.client.Receipt(ctx, o.lease)
	if err != nil {
		return section{}, err
	}
	if err := os.WriteFile(b.lab.Path("lease.receipt"), receipt, 0o644); err != nil {
		return section{}, err
	}
	var verify samples
	for range 15 {
		began := time.Now()
		if out, err := b.lab.Command(ctx, "receipt", "verify", "lease.receipt").CombinedOutput(); err != nil {
			return section{}, fmt.Errorf("receipt verify: %w: %s", err, out)
		}
		verify.add(time.Since(began))
	}
	rows := []row{
		plain("CPU of one beat as it happens, beyond idling: both nodes with journals and streams, the task measured every second", cost, "ms", limit{}),
		plain("receipt of two parties", samples{float64(len(receipt)) / 1024}, "KiB", atMost(1.5, "≤ 1.5 KiB")),
		plain("`rigmesh receipt verify`, the whole process", verify, "ms", limit{}),
	}
	rules, err := ruleBenchmarks(ctx)
	if err != nil {
		progress("benchmarks of the rules left out: %v", err)
	}
	return section{title: "Heartbeats and receipts", rows: append(rules, rows...)}, nil
}

// beatCost watches both nodes during a lease, away from its beginning and end.
func (b *bench) beatCost(ctx context.Context) (samples, outcome, error) {
	sub := b.pair.submission("sleep", strconv.Itoa(int((beating + 4*time.Second).Seconds())))
	sub.IntervalMs = beatEvery.Milliseconds()
	type result struct {
		outcome
		err error
	}
	done := make(chan result, 1)
	go func() {
		o, err := b.pair.run(ctx, sub)
		done <- result{o, err}
	}()
	var cpu [2]time.Duration
	var at [2]time.Time
	for i, wait := range []time.Duration{2 * time.Second, beating} {
		if err := rest(ctx, wait); err != nil {
			return nil, outcome{}, err
		}
		l, err := b.pair.look()
		if err != nil {
			return nil, outcome{}, err
		}
		cpu[i], at[i] = l.busy(), time.Now()
	}
	r := <-done
	if r.err != nil {
		return nil, r.outcome, r.err
	}
	beats := 0
	for _, e := range r.events {
		if _, ok := e.Event.(*leasev1.JobEvent_Heartbeat); ok && e.AtMs > at[0].UnixMilli() && e.AtMs < at[1].UnixMilli() {
			beats++
		}
	}
	if beats == 0 {
		return nil, r.outcome, fmt.Errorf("job %s had no beat", r.job)
	}
	var cost samples
	idle := time.Duration(float64(b.idleCPU) * at[1].Sub(at[0]).Seconds() / idleFor.Seconds())
	cost.add((cpu[1] - cpu[0] - idle) / time.Duration(beats))
	return cost, r.outcome, nil
}

// ruleBenchmarks runs the Go benchmarks of the pure rules, three times each.
func ruleBenchmarks(ctx context.Context) ([]row, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^(BenchmarkBeat|BenchmarkVerify|BenchmarkReplay)$",
		"-benchtime", "0.3s", "-count", "3", "./job/lease", "./job/receipt")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	took := map[string]samples{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != "ns/op" {
			continue
		}
		ns, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			continue
		}
		name := strings.SplitN(fields[0], "-", 2)[0]
		took[name] = append(took[name], ns/1e6)
	}
	var rows []row
	for _, known := range []struct {
		name, what string
		goal       limit
	}{
		{"BenchmarkBeat", "CPU of one beat, both sides, the rules and signatures alone", atMost(0.3, "≤ 0.3 ms")},
		{"BenchmarkReplay/requester", "replay of a lease of 24 hours (1,440 beats), requester", atMost(500, "≤ 500 ms")},
		{"BenchmarkReplay/worker", "replay of a lease of 24 hours (1,440 beats), worker", atMost(500, "≤ 500 ms")},
		{"BenchmarkVerify", "verify a receipt", atMost(0.3, "≤ 0.3 ms")},
	} {
		if s := took[known.name]; len(s) > 0 {
			rows = append(rows, plain(known.what, s, "ms", known.goal))
		}
	}
	return rows, nil
}
