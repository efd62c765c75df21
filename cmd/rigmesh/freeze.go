package main

import (
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/urfave/cli/v2"
)

func freezeCommand(k console) *cli.Command {
	return stillCommand(k, "freeze", true, "have a job's task stand still",
		"No process of it runs until rigmesh thaw; its memory stays, on its GPUs too. They stay reserved for you, so the\n"+
			"lease is paid for as if the task ran, and its timeout and the lease's end come all the same.")
}

func thawCommand(k console) *cli.Command {
	return stillCommand(k, "thaw", false, "have a task that you froze go on",
		"One that its worker holds still, because it is unpaid or a GPU too hot, goes on when that is over.")
}

func stillCommand(k console, name string, frozen bool, usage, more string) *cli.Command {
	return command(&cli.Command{
		Name: name, Usage: usage, Category: categoryRent, ArgsUsage: "JOB",
		Description: more + "\n\n" + examples("rigmesh "+name+" 3f2a"),
		Action: func(c *cli.Context) error {
			client, err := dial(c, k)
			if err != nil {
				return err
			}
			defer client.Close()
			phase, err := client.Freeze(c.Context, c.Args().First(), frozen)
			if err != nil {
				return execProblem(err)
			}
			fmt.Fprintln(k.out, stillSentence(frozen, phase))
			return nil
		},
	}, arguments{1, 1})
}

// stillSentence says what a freeze or thaw led to.
func stillSentence(frozen bool, phase leasev1.Phase) string {
	switch {
	case phase < leasev1.Phase_PHASE_RUNNING && frozen:
		return "the task has not begun yet: it will stand still from its beginning"
	case phase < leasev1.Phase_PHASE_RUNNING:
		return "the task has not begun yet: it will run"
	case frozen && phase == leasev1.Phase_PHASE_FROZEN:
		return "the task stands still; its lease goes on, and is paid for"
	case frozen:
		return "the worker has heard, and the task does not stand still yet"
	case phase == leasev1.Phase_PHASE_FROZEN:
		return "the worker holds the task still for a reason of its own: rigmesh describe JOB"
	}
	return "the task goes on"
}
