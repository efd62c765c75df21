package main

import (
	"fmt"

	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/urfave/cli/v2"
)

func auditCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name: "audit", Usage: "replay a whole lease behind its receipt", ArgsUsage: "ID|FILE",
		Description: "Checks every heartbeat, sum, seal and tree root, and the samples that the worker opens against\n" +
			"what it committed to. An ID takes the heartbeats from this node's journal and asks the worker for\n" +
			"samples, which it keeps for a week. A FILE that receipt export --whole wrote needs no node.\n\n" +
			examples("rigmesh receipt audit 3f2a", "rigmesh receipt export --whole 3f2a lease.whole", "rigmesh receipt audit lease.whole"),
		Flags:  append(policyFlags(), jsonFlag()),
		Action: func(c *cli.Context) error { return receiptAudit(c, k) },
	}, arguments{1, 1})
}

func receiptAudit(c *cli.Context, k console) error {
	p, err := policyOf(c)
	if err != nil {
		return err
	}
	name := c.Args().First()
	file, err := fileOr(c, k, name, openLease)
	if err != nil {
		return err
	}
	if receipt.KindOf(file) == receipt.KindReceipt {
		if _, err := p.Verify(file); err != nil {
			return refusal(err)
		}
		return hint(fmt.Errorf("%s is a receipt alone, with nothing behind it to replay", name),
			"a node that has the lease can give all of it: rigmesh receipt export --whole ID FILE")
	}
	return printFinding(c, k, p, file)
}

// openLease asks the node for all there is of a lease, and says what is not there.
func openLease(c *cli.Context, k console, id string) ([]byte, error) {
	client, err := dial(c, k)
	if err != nil {
		return nil, err
	}
	file, missing, err := client.OpenLease(c.Context, id, true)
	if err != nil {
		return nil, err
	}
	for _, m := range missing {
		fmt.Fprintf(k.err, "rigmesh: missing: %s\n", m)
	}
	return file, nil
}
