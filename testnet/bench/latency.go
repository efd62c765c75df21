//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// oneJob measures one job at a time, each way in turn, so that whatever the machine
// does meanwhile it does to all of them.
func (b *bench) oneJob(ctx context.Context) (section, error) {
	var plainly, alike, begun, runtimes, leased, known, cleaned, cli samples
	var of parts
	ways := []struct {
		name string
		once func() error
	}{
		{"plain containerd client", b.timed(ctx, b.floor.plain, &plainly)},
		{"bare client with our spec", func() error {
			err := b.timed(ctx, b.floor.alike, &alike)()
			begun.add(time.Duration(b.floor.begun.Load()))
			return err
		}},
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
			of.add(o)
			return nil
		}},
		{"rigmesh run", b.timed(ctx, b.commandLine, &cli)},
	}
	for round := range b.rounds + 1 {
		if round == 1 { // the first of everything is warming up
			plainly, alike, begun, runtimes, leased, known, cleaned, cli, of = nil, nil, nil, nil, nil, nil, nil, nil, parts{}
		}
		for _, way := range ways {
			if err := way.once(); err != nil {
				return section{}, fmt.Errorf("%s: %w", way.name, err)
			}
		}
	}
	synced, err := syncs(b.lab.Path("sync"))
	if err != nil {
		return section{}, err
	}
	return section{
		title: "One job",
		notes: jobNotes,
		rows: slices.Concat([]row{
			plain("bare containerd client, default spec: create to deleted", plainly, "ms", limit{}),
			plain("**floor**: bare containerd client, a task's own spec and init: create to deleted", alike, "ms", limit{}),
			plain("… of which from create to started", begun, "ms", limit{}),
			against("the worker's runtime alone: start, wait, remove", runtimes, "ms", alike, limit{}),
			plain("submit to a lease that both sides signed: the auction, on a warm network", leased, "ms", atMost(40, "≤ 40 ms")),
			against("submit to exit known to the requester", known, "ms", alike, limit{}),
			against("submit to exit known and everything cleaned up", cleaned, "ms", alike, atMost(1.35, "≤ 1.35 × floor")),
		}, of.rows(), []row{
			plain("a write and its sync, where both nodes have their journals", synced, "ms", limit{}),
			plain("`rigmesh run` to its exit, background requester running", cli, "ms", atMost(400, "≤ 400 ms")),
		}),
	}, nil
}

// jobNotes say what lies between the floor and a job.
const jobNotes = `The floor finds ready what a worker's runtime makes of each task: a disk (a copy of an empty file system, a loop device,
a mount), a namespace of users, and the root folder. What else a job takes, its parts say, as its requester hears of them. Fifteen records are
durable before either side says what is in them, each with two syncs; what a sync takes here is a row of its own.
While both sides sign the close, the worker lets go of the shim, for which the floor waits too.`

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
