package main

import (
	"time"

	"github.com/rigmesh/rigmesh/node/config"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func stopCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        "stop",
		Usage:       "end a job",
		Category:    categoryRent,
		ArgsUsage:   "JOB",
		Description: "The task gets SIGTERM, and SIGKILL when the grace is over. What it wrote and its outputs are kept.\n\n" + examples("rigmesh stop --grace 1m 3f2a"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "grace", Value: "10s", Usage: "`TIME` between asking and killing"},
			&cli.BoolFlag{Name: "abandon", Usage: "give the lease up at once, without the worker", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error { return stop(c, k) },
	}, arguments{1, 1})
}

// stop asks, and returns when the job has ended.
func stop(c *cli.Context, k console) error {
	var grace config.Duration
	if err := parseFlags(c, flagValue{"grace", &grace}); err != nil {
		return err
	}
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	id := c.Args().First()
	if err := client.Stop(c.Context, id, time.Duration(grace), c.Bool("abandon")); err != nil {
		return err
	}
	for item, err := range client.Watch(c.Context, &controlv1.WatchJobRequest{JobId: id, Follow: true, EventsOnly: true}) {
		if err != nil {
			return err
		}
		if item.GetEvent().GetEnded() != nil {
			break
		}
	}
	return nil
}
