package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func portForwardCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "port-forward",
		Usage:     "open ports of a job's task on this machine",
		Category:  categoryRent,
		ArgsUsage: "JOB [[LOCAL:]REMOTE…]",
		Description: "Something in the task has to listen on REMOTE, on 127.0.0.1 or every address; a task without a network\n" +
			"can. Here it is at 127.0.0.1:LOCAL, for this machine alone; ADDRESS:LOCAL:REMOTE listens elsewhere, 0 as LOCAL\n" +
			"takes any port that is free. Without ports those of run -p, or of job.yaml, are opened. It ends with the job,\n" +
			"or with Ctrl-C.\n\n" +
			examples("rigmesh port-forward 3f2a 8888", "rigmesh port-forward 3f2a 8080:80 5432", "rigmesh port-forward --json 3f2a 0:8888"),
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error { return portForward(c, k) },
	}, arguments{1, 1 + maxForwards})
}

// maxForwards is how many ports one command opens.
const maxForwards = 64

func portForward(c *cli.Context, k console) error {
	id := c.Args().First()
	var ports forwards
	for _, text := range c.Args().Tail() {
		if err := ports.add(text); err != nil {
			return &usageError{err}
		}
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := connect(ctx, c, k) // the job may be waiting for its node to come back
	if err != nil {
		return err
	}
	defer client.Close()
	if ports, err = portsOf(ctx, client, id, ports); err != nil {
		return err
	}
	open, err := listen(ports)
	if err != nil {
		return err
	}
	defer open.close()
	if err := printForwards(c, k, open); err != nil {
		return err
	}
	v := newView(k, false)
	defer open.serve(ctx, client, id, v.say)()
	return untilEnd(ctx, client, id, v)
}

// portsOf are those that were asked for, or those that came with the job.
func portsOf(ctx context.Context, client *control.Client, id string, asked forwards) (forwards, error) {
	job, err := client.ExplainJob(ctx, id)
	if err != nil {
		return nil, err
	}
	if last := len(job.Events) - 1; last >= 0 && job.Events[last].GetEnded() != nil {
		return nil, fmt.Errorf("job %s has ended: none of its ports is open", short(job.JobId))
	}
	if len(asked) > 0 {
		return asked, nil
	}
	asked, err = forwardsOf(job.GetSubmission().GetForwards())
	if err == nil && len(asked) == 0 {
		err = usagef("job %s came without ports: name those to open, such as 8888", short(job.JobId))
	}
	return asked, err
}

// forwardView is an open port as --json prints it.
type forwardView struct {
	Local  string `json:"local"`
	Remote uint16 `json:"remote"`
}

func printForwards(c *cli.Context, k console, open listeners) error {
	if c.Bool("json") {
		var views []forwardView
		for _, l := range open {
			views = append(views, forwardView{l.Addr().String(), l.remote})
		}
		return printJSON(k.out, views)
	}
	for _, l := range open {
		if _, err := fmt.Fprintln(k.out, l); err != nil {
			return err
		}
	}
	return nil
}

// untilEnd returns when the job has ended, or somebody has had enough.
func untilEnd(ctx context.Context, client *control.Client, id string, v *view) error {
	for item, err := range client.Watch(ctx, &controlv1.WatchJobRequest{JobId: id, Follow: true, EventsOnly: true}) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case item.GetEvent().GetEnded() != nil:
			v.say("the job has ended")
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("the node told no end of the job")
}
