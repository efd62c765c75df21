//go:build linux

// Command bench measures what rigmesh costs, beside what the same work costs without it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/runtime/ociarchive"
	"github.com/rigmesh/rigmesh/testnet/lab"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// plan is how much is measured.
type plan struct {
	rigmesh string
	out     string
	rounds  int
	jobs    int
	nodes   int
	only    string
	trace   bool
}

func main() {
	var p plan
	flag.StringVar(&p.rigmesh, "rigmesh", "bin/rigmesh", "the `program` to measure")
	flag.StringVar(&p.out, "out", "", "write the result to this `file` too")
	flag.IntVar(&p.rounds, "rounds", 20, "`times` that each way of running one job is measured")
	flag.IntVar(&p.jobs, "jobs", 100, "`number` of jobs, four at a time, before memory is looked at again")
	flag.IntVar(&p.nodes, "nodes", 20, "`number` of nodes that hear announcements")
	flag.StringVar(&p.only, "only", "", "measure these `parts` only, as in job,many: file, idle, job, cold, many, start, bulk, gossip, beats")
	flag.BoolVar(&p.trace, "trace", false, "print when what happened in each single job")
	flag.Parse()
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: a worker runs containers and that needs root: run this with sudo")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, p)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

// run measures everything in one lab, and leaves nothing behind.
func run(ctx context.Context, p plan) (err error) {
	l, err := lab.New(p.rigmesh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Clear()) }()
	if err := ociimage.Busybox(l.Path("busybox.tar")); err != nil {
		return err
	}
	archive, err := ociarchive.Open(ctx, l.Path("busybox.tar"), "")
	if err != nil {
		return err
	}
	defer archive.Close()
	binary, err := filepath.Abs(p.rigmesh)
	if err != nil {
		return err
	}
	b := &bench{plan: p, load: busyness(), lab: l, binary: binary, archive: archive}
	sections, err := b.all(ctx)
	if err != nil {
		return err
	}
	return b.report(ctx, sections)
}

// progress says on stderr what is going on: a run takes minutes.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// report prints the result, and writes it where it was asked for.
func (b *bench) report(ctx context.Context, sections []section) error {
	m := thisMachine(ctx, b.binary, b.lab.Dir, fmt.Sprintf(" -rounds %d -jobs %d", b.rounds, b.jobs))
	m.load = b.load
	var to io.Writer = os.Stdout
	if b.out != "" {
		file, err := os.Create(b.out)
		if err != nil {
			return err
		}
		defer file.Close()
		to = io.MultiWriter(os.Stdout, file)
	}
	return markdown(to, m, sections)
}

// tidyWithin bounds ending what the bench started.
const tidyWithin = 30 * time.Second
