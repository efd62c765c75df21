//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

const (
	// settle is how long nodes are left alone before their memory is looked at.
	settle = 5 * time.Second
	// idleFor is how long the CPU time of idle nodes is watched: what comes every ten seconds, and what
	// becomes rarer after a start, is in it as often as it should.
	idleFor = time.Minute
	// starts is how often a worker is started to see when it answers.
	starts = 5
	// crowd is the number of connections that an idle worker's memory is meant for.
	crowd = 100
)

// program measures the file alone.
func (b *bench) program(ctx context.Context) (section, error) {
	file, err := os.Stat(b.binary)
	if err != nil {
		return section{}, err
	}
	var help samples
	for range 21 {
		began := time.Now()
		if err := exec.CommandContext(ctx, b.binary, "--help").Run(); err != nil {
			return section{}, fmt.Errorf("rigmesh --help: %w", err)
		}
		help.add(time.Since(began))
	}
	return section{title: "The file", rows: []row{
		plain("size of the one file", samples{mib(file.Size())}, "MiB", atMost(64, "≤ 64 MiB")),
		plain("`rigmesh --help`", help, "ms", atMost(50, "≤ 50 ms")),
	}}, nil
}

// idle measures nodes that do nothing. It runs before the first job.
func (b *bench) idle(ctx context.Context) (section, error) {
	progress("idle nodes are left alone for %s", settle+idleFor)
	if err := rest(ctx, settle); err != nil {
		return section{}, err
	}
	before, err := b.pair.look()
	if err != nil {
		return section{}, err
	}
	if err := rest(ctx, idleFor); err != nil {
		return section{}, err
	}
	after, err := b.pair.look()
	if err != nil {
		return section{}, err
	}
	b.before = after
	b.idleCPU = after.busy() - before.busy()
	cpu := func(of string) samples {
		return samples{100 * float64(after.of[of].cpu-before.of[of].cpu) / float64(idleFor)}
	}
	return section{
		title: "Idle",
		notes: idleNotes,
		rows: []row{
			memory("the worker's node", after.of[workerDir], atMost(50, "≤ 50 MiB")),
			memory("its containerd child", after.of[childOfWorker], atMost(45, "≤ 45 MiB")),
			memory("the requester's node", after.of[requesterDir], atMost(50, "≤ 50 MiB")),
			plain("CPU of the worker's node", cpu(workerDir), "% of a core", atMost(0.1, "≤ 0.1 %")),
			plain("CPU of its containerd child", cpu(childOfWorker), "% of a core", atMost(0.1, "≤ 0.1 %")),
			plain("CPU of the requester's node", cpu(requesterDir), "% of a core", atMost(0.1, "≤ 0.1 %")),
		},
	}, nil
}

// idleNotes say what an idle node does.
const idleNotes = `A worker and a requester that know each other: one connection each, the DHT server on. Before the first job; processor time
is that of a minute. What a worker does is to wake up: every second for gossip's heartbeat and for a sample of its devices, every
three to look for members of topics that have few, in vain in a small network. In a profile of seven minutes two fifths
were the Go scheduler's, which wakes up for timers; while those members were looked for every second, a third was gossip's.`

// memory is what a process has in RAM. Most of it is the program's file, which the
// processes of one machine share; what is a process's own is shown beside.
func memory(of string, u usage, goal limit) row {
	r := plain("memory of "+of, samples{mib(u.rss)}, "MiB", goal)
	r.measured += fmt.Sprintf(" (%s its own)", short(mib(u.own)))
	return r
}

// starting measures a worker from its start to its first answer, and then one that
// many others are connected to.
func (b *bench) starting(ctx context.Context) (section, error) {
	progress("starting a worker %d times", starts)
	var ready samples
	p := &pair{lab: b.lab, ready: map[string]time.Duration{}}
	const dir = "again"
	for n := range starts + 1 {
		process, status, err := p.startNode(ctx, dir, workerArgs()...)
		if err != nil {
			return section{}, err
		}
		if n > 0 { // the first one unpacks its helpers
			ready.add(p.ready[dir])
		}
		if n == starts {
			rows, err := b.crowded(ctx, process, status.Addresses[0])
			if err != nil {
				return section{}, err
			}
			rows = append([]row{plain("start of a worker to its first answer, helpers unpacked", ready, "ms", atMost(300, "≤ 300 ms"))}, rows...)
			return section{
				title: "Start, and an idle worker in company",
				notes: "The connections come from hosts in one process that hold them and say nothing.",
				rows:  rows,
			}, b.down(ctx, process, dir)
		}
		if err := b.down(ctx, process, dir); err != nil {
			return section{}, err
		}
	}
	return section{}, nil
}

// crowded measures a worker with many connections.
func (b *bench) crowded(ctx context.Context, worker *lab.Process, address string) ([]row, error) {
	release, err := connectMany(ctx, address, crowd)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := rest(ctx, settle); err != nil {
		return nil, err
	}
	before, err := usageOf(worker.PID())
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, idleFor); err != nil {
		return nil, err
	}
	after, err := usageOf(worker.PID())
	if err != nil {
		return nil, err
	}
	return []row{
		memory(fmt.Sprintf("its node with %d connections", crowd), after, atMost(50, "≤ 50 MiB")),
		plain("CPU of it", samples{100 * float64(after.cpu-before.cpu) / float64(idleFor)}, "% of a core", atMost(0.1, "≤ 0.1 %")),
	}, nil
}

// down stops the node of a data directory as a person would.
func (b *bench) down(ctx context.Context, process *lab.Process, dir string) error {
	if out, err := b.lab.Command(ctx, "down", "--data", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("rigmesh down: %w: %s", err, out)
	}
	select {
	case <-process.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
