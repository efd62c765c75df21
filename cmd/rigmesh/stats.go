package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/urfave/cli/v2"
)

func statsCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "stats",
		Usage:     "watch what the tasks of your jobs use",
		Category:  categoryRent,
		ArgsUsage: "[JOB…]",
		Description: "Processors, memory, disk and GPUs of each task, as its worker reads them; what a receipt rests on is in the\n" +
			"heartbeats. On a terminal it is drawn anew every second until Ctrl-C. Into a pipe, and with --once, it is\n" +
			"printed once. Without JOB all of your jobs that have a worker are shown.\n\n" +
			examples("rigmesh stats", "rigmesh stats --once 3f2a", "rigmesh stats --json 3f2a | jq '.[].memory_bytes'"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "print it once and leave", DisableDefaultText: true},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return stats(c, k) },
	}, arguments{0, maxStats})
}

const (
	maxStats   = 64 // jobs
	statsEvery = time.Second
)

func stats(c *cli.Context, k console) error {
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Bool("json") || c.Bool("once") || !isTerminal(k.out) {
		all, err := readStats(ctx, client, c.Args().Slice())
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(k.out, statsViews(all))
		}
		return printStats(k.out, all)
	}
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		all, err := readStats(ctx, client, c.Args().Slice())
		if ctx.Err() != nil || err != nil {
			return ignoreEnd(ctx, err)
		}
		var screen bytes.Buffer
		screen.WriteString("\x1b[H\x1b[2J")
		if err := printStats(&screen, all); err != nil {
			return err
		}
		if _, err := k.out.Write(screen.Bytes()); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ignoreEnd is no error for what ended because somebody had seen enough.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// jobStats is what a job's task uses, or why that is not known.
type jobStats struct {
	id, name string
	now      *leasev1.TaskStats
	err      error
}

// readStats asks for some jobs, or for all that have a worker. One that was named must be there.
func readStats(ctx context.Context, client *control.Client, ids []string) ([]jobStats, error) {
	var all []jobStats
	for _, id := range ids {
		all = append(all, jobStats{id: id})
	}
	if len(ids) == 0 {
		jobs, err := client.Jobs(ctx, false)
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			if j.Role == "requester" && j.LeaseId != "" {
				all = append(all, jobStats{id: j.JobId, name: j.Name})
			}
		}
	}
	var asking sync.WaitGroup
	for i := range all {
		asking.Go(func() { all[i].now, all[i].err = client.Stats(ctx, all[i].id) })
	}
	asking.Wait()
	for _, s := range all {
		if len(ids) > 0 && s.err != nil && !errors.Is(s.err, control.ErrCut) || ctx.Err() != nil {
			return nil, s.err
		}
	}
	return all, nil
}
