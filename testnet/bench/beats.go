//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
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
		plain("receipt of that lease, two parties", samples{float64(len(receipt)) / 1024}, "KiB", atMost(1.5, "≤ 1.5 KiB")),
		plain("`rigmesh receipt verify` of that lease, the whole process", verify, "ms", atMost(50, "≤ 50 ms")),
	}
	rules, err := ruleRows(ctx)
	if err != nil {
		progress("benchmarks of the rules left out: %v", err)
	}
	return section{title: "Heartbeats and receipts", notes: beatNotes, rows: append(rules, rows...)}, nil
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
