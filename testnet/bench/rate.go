//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// abreast is how many jobs run at once, each on a device of its own.
	abreast = 4
	// batch is how many jobs go into one figure of a rate.
	batch = 20
	// floorBatches bounds how many batches the floors repeat, in turns with the jobs'.
	floorBatches = 5
)

// many measures jobs a second, and what all those jobs leave behind.
func (b *bench) many(ctx context.Context) (section, error) {
	var plainly, alike, runtimes, jobs samples
	var again atomic.Int64
	spent := map[string]samples{}
	if b.before.of == nil { // idling was left out
		var err error
		if b.before, err = b.pair.look(); err != nil {
			return section{}, err
		}
	}
	if _, err := b.untilTaken(ctx, new(atomic.Int64)); err != nil { // the image is there from now on
		return section{}, err
	}
	for n := range max(1, b.jobs/batch) {
		progress("jobs %d to %d, four at a time", n*batch+1, (n+1)*batch)
		ways := []struct {
			name string
			into *samples
			once func(context.Context) (time.Duration, error)
		}{
			{"plain", &plainly, b.floor.plain}, {"floor", &alike, b.floor.alike}, {"runtime", &runtimes, b.floor.throughRuntime},
			{"market", &jobs, func(ctx context.Context) (time.Duration, error) { return b.untilTaken(ctx, &again) }},
		}
		if n >= floorBatches {
			ways = ways[len(ways)-1:]
		}
		for _, way := range ways {
			rate, err := b.spending(way.name, spent, func() (float64, error) { return rateOf(ctx, way.once) })
			if err != nil {
				return section{}, err
			}
			*way.into = append(*way.into, rate)
		}
	}
	after, waited, err := b.collected(ctx)
	if err != nil {
		return section{}, err
	}
	return section{
		title: "Many jobs",
		notes: fmt.Sprintf(manyNotes, abreast, batch, waited.Round(time.Second)),
		rows: append([]row{
			plain("bare containerd client, default spec", plainly, "a second", limit{}),
			plain("**floor**: bare client, a task's own spec and init", alike, "a second", limit{}),
			against("the worker's runtime alone", runtimes, "a second", alike, limit{}),
			against("jobs through the market", jobs, "a second", alike, atLeast(0.85, "≥ 0.85 × floor")),
			{
				what: "jobs that found no bid though a device was free, and were submitted again", goal: "0",
				measured: strconv.FormatInt(again.Load(), 10), missed: again.Load() > 0,
			},
			plain("CPU of the whole machine for each container of the floor", spent[wholeMachine+"floor"], "ms", limit{}),
			against("… for each task of the worker's runtime alone", spent[wholeMachine+"runtime"], "ms", spent[wholeMachine+"floor"], limit{}),
			against("… for each job", spent[wholeMachine+"market"], "ms", spent[wholeMachine+"floor"], limit{}),
			plain("… of which the worker's node; the shim, runc and the task are other processes", spent[workerDir+"market"], "ms", limit{}),
			plain("… its containerd child", spent[childOfWorker+"market"], "ms", limit{}),
			plain("… the requester's node", spent[requesterDir+"market"], "ms", limit{}),
		}, leftBehind(b.before, after)...),
	}, nil
}

// manyNotes say what the figures of many jobs are of: how many at once, in a batch, and how long after the last.
const manyNotes = `Jobs of one device each, %d at a time, in batches of %d; each is counted once nothing of it is left on the worker.
With more of them than cores no core is idle, and a rate is what processor time leaves: that of the whole machine, all processes
and the kernel, is in rows of its own, and the nodes' part of it too. In a profile a fifth of the worker's node was garbage collection, a sixth calls
of containerd, an eighth streams to the requester, a tenth tasks' files; signatures, syncs and mounts were less each. Four fifths of
its containerd were answering calls.
What the nodes hold is from before the first job of the whole run to %s after the last: containerd collects removed snapshots in its own time.`

// spending runs a batch, and notes what processor time the whole machine and each node used for each of
// its jobs.
func (b *bench) spending(way string, spent map[string]samples, batched func() (float64, error)) (float64, error) {
	before, err := b.pair.look()
	if err != nil {
		return 0, err
	}
	rate, err := batched()
	if err != nil {
		return 0, err
	}
	after, err := b.pair.look()
	each := func(of string, used time.Duration) {
		spent[of+way] = append(spent[of+way], float64(used)/float64(time.Millisecond)/batch)
	}
	each(wholeMachine, after.machine-before.machine)
	for of, was := range before.of {
		each(of, after.of[of].cpu-was.cpu)
	}
	return rate, err
}

// collectWithin bounds waiting for containerd to collect the snapshots of removed tasks.
const collectWithin = time.Minute

// collected looks at the nodes once they had some rest and containerd has collected garbage.
func (b *bench) collected(ctx context.Context) (look, time.Duration, error) {
	began := time.Now()
	for {
		if err := rest(ctx, settle); err != nil {
			return look{}, 0, err
		}
		l, err := b.pair.look()
		waited := time.Since(began)
		if err != nil || waited > collectWithin || (waited > settle*3/2 && l.snapshots <= b.before.snapshots+layers) {
			return l, waited, err
		}
	}
}

// layers is how many snapshots the image itself has: one for each layer, and a view that its tasks share.
const layers = 2

// untilTaken submits a job until a worker takes it, and counts how often that was in vain.
func (b *bench) untilTaken(ctx context.Context, again *atomic.Int64) (time.Duration, error) {
	for {
		o, err := b.pair.run(ctx, b.pair.submission("true"))
		if !errors.Is(err, errNoBid) || ctx.Err() != nil {
			return o.cleaned, err
		}
		again.Add(1)
	}
}

// rateOf runs one batch and says how many a second that was.
func rateOf(ctx context.Context, once func(context.Context) (time.Duration, error)) (float64, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(abreast)
	began := time.Now()
	for range batch {
		group.Go(func() error {
			_, err := once(ctx)
			return err
		})
	}
	err := group.Wait()
	return batch / time.Since(began).Seconds(), err
}

// moreMemory is how much a node may have grown by after a thousand jobs, in MiB.
const moreMemory = 15

// moreFiles is how many descriptors a node may hold more: connections and streams that
// come and go by themselves.
const moreFiles = 4

// leftBehind compares what there was before any job with what there is now.
func leftBehind(before, after look) []row {
	var rows []row
	for _, of := range []struct{ name, what string }{
		{workerDir, "the worker's node"}, {childOfWorker, "its containerd child"}, {requesterDir, "the requester's node"},
	} {
		was, is := before.of[of.name], after.of[of.name]
		rows = append(rows,
			row{
				what: "memory of " + of.what, goal: "≤ +15 MiB", ratio: fmt.Sprintf("%+.1f MiB", mib(is.rss-was.rss)),
				measured: fmt.Sprintf("%.1f → %.1f MiB", mib(was.rss), mib(is.rss)), missed: mib(is.rss-was.rss) > moreMemory,
			},
			row{
				what: "open files of " + of.what, goal: fmt.Sprintf("≤ +%d", moreFiles),
				measured: change(was.fds, is.fds), missed: is.fds > was.fds+moreFiles,
			},
			row{what: "threads of " + of.what, measured: change(was.threads, is.threads)},
		)
	}
	for _, c := range []struct {
		what      string
		was, is   int
		tolerated int
	}{
		{"mounts", before.mounts, after.mounts, 0},
		{"snapshots; the image's are one for each layer and one view", before.snapshots, after.snapshots, layers},
		{"containers", before.bundles, after.bundles, 0},
		{"control groups; the parent of all tasks stays", before.cgroups, after.cgroups, 16},
		{"shim sockets", before.sockets, after.sockets, 0},
		{"ranges of users", before.claims, after.claims, 0},
	} {
		rows = append(rows, row{what: c.what, goal: "as before", measured: change(c.was, c.is), missed: c.is > c.was+c.tolerated})
	}
	return rows
}
