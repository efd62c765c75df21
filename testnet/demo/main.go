//go:build linux

// Command demo shows the main job of rigmesh on one machine: three workers and
// a requester find each other, a job runs on real files, its receipt is
// checked, and nothing is left behind, also after Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

func main() {
	rigmesh := flag.String("rigmesh", "bin/rigmesh", "the `program` to show")
	tree := flag.String("input", ".", "the job's input is made of the texts in this `folder`")
	flag.Parse()
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "demo: a worker runs containers and that needs root: run this with sudo")
		os.Exit(1)
	}
	// A closed terminal or pipe ends the demo as Ctrl-C does: in order.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, *rigmesh, *tree)
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && !interrupted {
		fmt.Fprintf(os.Stderr, "\ndemo: error: %v\n", err)
	}
	switch {
	case interrupted:
		os.Exit(130)
	case err != nil:
		os.Exit(1)
	}
}

// run shows everything, stops everything, and says what is left.
func run(ctx context.Context, rigmesh, tree string) error {
	started := time.Now()
	l, err := lab.New(rigmesh)
	if err != nil {
		return err
	}
	s := &show{lab: l, tree: tree}
	err = s.all(ctx)
	if err != nil && ctx.Err() == nil {
		s.explain()
	}
	// From here on nothing interrupts us.
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	s.title("Everything is stopped")
	left := s.stop(tidy)
	fmt.Printf("\n%s after the start. Left behind: %s\n", time.Since(started).Round(100*time.Millisecond), left)
	for _, p := range left.Processes {
		fmt.Println("  process", p)
	}
	if !left.None() {
		err = errors.Join(err, errors.New("something was left behind; it is cleared away now"))
	}
	return errors.Join(err, l.Clear())
}
