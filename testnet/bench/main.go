//go:build linux

// Command bench measures what rigmesh costs a machine that does nothing yet:
// the size of its file, the time it takes to answer, the memory of an idle worker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

func main() {
	rigmesh := flag.String("rigmesh", "bin/rigmesh", "the `program` to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *rigmesh)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

// A figure is one line of the result.
type figure struct{ what, measured, goal string }

func run(ctx context.Context, rigmesh string) error {
	file, err := os.Stat(rigmesh)
	if err != nil {
		return err
	}
	help, err := helpTime(ctx, rigmesh)
	if err != nil {
		return err
	}
	idle, err := idleWorker(ctx, rigmesh)
	if err != nil {
		return err
	}
	figures := append([]figure{
		{"size of the one file", mib(file.Size()), "≤ 64 MiB"},
		{"rigmesh --help, median", ms(help), "≤ 50 ms"},
	}, idle...)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	for _, f := range figures {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.what, f.measured, f.goal)
	}
	return table.Flush()
}

// helpTime is the median of how long `rigmesh --help` takes.
func helpTime(ctx context.Context, rigmesh string) (time.Duration, error) {
	var took []time.Duration
	for range 21 {
		started := time.Now()
		if err := exec.CommandContext(ctx, rigmesh, "--help").Run(); err != nil {
			return 0, fmt.Errorf("rigmesh --help: %w", err)
		}
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// settle is how long a worker is left alone before its memory is looked at.
const settle = 10 * time.Second

// idleWorker starts one worker and measures it and its containerd.
func idleWorker(ctx context.Context, rigmesh string) (figures []figure, err error) {
	l, err := lab.New(rigmesh)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Clear()) }()
	started := time.Now()
	p, err := l.Start("worker", "up", "--data", "w", "--listen", "/ip4/127.0.0.1/tcp/0", "--simulate-gpu", "rtx-4090", "--price", "1")
	if err != nil {
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := l.Ready(ready, p, "w"); err != nil {
		return nil, err
	}
	figures = append(figures, figure{"worker answers after", ms(time.Since(started)), "≤ 300 ms, once its helpers are unpacked"})
	fmt.Fprintf(os.Stderr, "bench: an idle worker is left alone for %s\n", settle)
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	left, err := l.Remains()
	if err != nil {
		return nil, err
	}
	for _, process := range left.Processes {
		size, err := resident(process.PID)
		if err != nil {
			return nil, err
		}
		switch {
		case process.PID == p.PID():
			figures = append(figures, figure{"memory of an idle node", mib(size), "≤ 50 MiB"})
		default:
			figures = append(figures, figure{"memory of its containerd", mib(size), "≤ 45 MiB"})
		}
	}
	return figures, l.Stop(ready)
}

// resident is the memory of a process that is in RAM, in bytes.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d shows no memory", pid)
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
