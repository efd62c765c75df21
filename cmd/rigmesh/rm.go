package main

import (
	"errors"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/urfave/cli/v2"
)

func rmCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "rm",
		Usage:     "forget jobs that have ended",
		Category:  categoryRent,
		ArgsUsage: "JOB…",
		Description: "Removes them from rigmesh ps, with what they wrote and the outputs that were not fetched. Receipts stay.\n\n" +
			examples("rigmesh rm 3f2a", "rigmesh rm 3f2a 77aa"),
		Action: func(c *cli.Context) error { return rm(c, k) },
	}, arguments{1, 1000})
}

func rm(c *cli.Context, k console) error {
	client, err := connect(c.Context, c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	var problems []error
	for _, id := range c.Args().Slice() {
		err := client.Forget(c.Context, id)
		if errors.Is(err, control.ErrInvalid) {
			err = hint(err, "rigmesh stop %s ends it", id)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
