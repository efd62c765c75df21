//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// oneJob measures one job at a time, each way in turn, so that whatever the machine
// does meanwhile it does to all of them.
func (b *bench) oneJob(ctx context.Context) (section, error) {
	var plainly, alike, runtimes, leased, known, cleaned, cli samples
	ways := []struct {
		name string
		once func() error
	}{
		{"plain containerd client", b.timed(ctx, b.floor.plain, &plainly)},
		{"bare client with our spec", b.timed(ctx, b.floor.alike, &alike)},
		{"our runtime", b.timed(ctx, b.floor.throughRuntime, &runtimes)},
		{"submit", func() error {
			o, err := b.pair.run(ctx, b.pair.submission("true"))
			if err != nil {
				return err
			}
			if b.trace {
				o.print()
			}
			leased.add(o.leased)
			known.add(o.known)
			cleaned.add(o.cleaned)
			return nil
		}},
		{"rigmesh run", b.timed(ctx, b.commandLine, &cli)},
	}
	for round := range b.rounds + 1 {
		if round == 1 { // the first of everything is warming up
			plainly, alike, runtimes, leased, known, cleaned, cli = nil, nil, nil, nil, nil, nil, nil
		}
		for _, way := range ways {
			if err := way.once(); err != nil {
				return section{}, fmt.Errorf("%s: %w", way.name, err)
			}
		}
	}
	return section{
		title: "One job",
		notes: jobNotes,
		rows: []row{
			plain("bare containerd client, default spec: create to deleted", plainly, "ms", limit{}),
			plain("**floor**: bare containerd client, a task's own spec and init: create to deleted", alike, "ms", limit{}),
			against("the worker's runtime alone: start, wait, remove", runtimes, "ms", alike, limit{}),
			plain("submit to a lease that both sides signed: the auction, on a warm network", leased, "ms", atMost(40, "≤ 40 ms")),
			against("submit to exit known to the requester", known, "ms", alike, limit{}),
			against("submit to exit known and everything cleaned up", cleaned, "ms", alike, atMost(1.35, "≤ 1.35 × floor")),
			plain("`rigmesh run` to its exit, background requester running", cli, "ms", atMost(400, "≤ 400 ms")),
		},
	}, nil
}

// jobNotes say what lies between the floor and a job.
const jobNotes = `The floor finds ready what a worker's runtime makes of each task: a disk (a copy of an empty file system, a loop device,
a mount), a namespace of users, and the root folder. Between submit and the task's start lie an auction and seven records
that are durable before either side says what is in them, and between the task's end and its being known eight more, on both
sides together: two syncs each, for the record and for what marks it as whole. Both nodes share this machine's disk and cores.`

// timed keeps what one way of doing it took.
func (b *bench) timed(ctx context.Context, once func(context.Context) (time.Duration, error), into *samples) func() error {
	return func() error {
		took, err := once(ctx)
		into.add(took)
		return err
	}
}

// commandLine is what a person types.
func (b *bench) commandLine(ctx context.Context) (time.Duration, error) {
	return command(b.lab.Command(ctx, "run", "--data", requesterDir, "--simulated", "--quiet", "oci-archive:busybox.tar", "true"))
}

// print shows when what happened, in ms since the first event.
func (o outcome) print() {
	for _, e := range o.events {
		fmt.Fprintf(os.Stderr, "%6d  %v\n", e.AtMs-o.events[0].AtMs, e.Event)
	}
	fmt.Fprintf(os.Stderr, "known after %v, cleaned after %v\n", o.known, o.cleaned)
}
