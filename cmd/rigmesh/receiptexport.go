package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
)

func exportCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name: "export", Usage: "save a receipt, a whole lease, or a month for your books", ArgsUsage: "ID FILE | --month YYYY-MM FILE",
		Description: "- writes to standard output. What is there already is not overwritten.\n\n" +
			"A month is every lease that ended in it (UTC), as CSV, or as JSON when FILE ends in .json or with\n" +
			"--json. Its columns stay as they are; docs/heartbeats.md describes them. Amounts are exact.\n\n" +
			examples("rigmesh receipt export 3f2a lease.receipt", "rigmesh receipt export --whole 3f2a lease.whole",
				"rigmesh receipt export --proof 77aa fraud.equivocation", "rigmesh receipt export --month 2026-11 november.csv"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "whole", Usage: "with every heartbeat, seal and sample", DisableDefaultText: true},
			&cli.BoolFlag{Name: "proof", Usage: "the proof that the other side signed two things for one slot", DisableDefaultText: true},
			&cli.StringFlag{Name: "month", Usage: "all receipts of a `month`, as in 2026-11"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return receiptExport(c, k) },
	}, arguments{1, 2})
}

func receiptExport(c *cli.Context, k console) error {
	if c.IsSet("month") {
		if c.NArg() != 1 || c.Bool("whole") || c.Bool("proof") {
			return usagef("--month wants a FILE, and neither an ID nor --whole or --proof")
		}
		return exportMonth(c, k)
	}
	if c.NArg() != 2 || c.Bool("json") || c.Bool("whole") && c.Bool("proof") {
		return hint(usagef("%s wants ID FILE, with --whole or --proof or neither", c.Command.HelpName), "rigmesh receipt show --json prints one receipt as JSON")
	}
	file, err := exported(c, k, c.Args().First())
	if err != nil {
		return err
	}
	return saveReceipt(c.Args().Get(1), k, file)
}

// exported is the file that the flags ask for.
func exported(c *cli.Context, k console, id string) ([]byte, error) {
	if c.Bool("whole") {
		return openLease(c, k, id)
	}
	client, err := dial(c, k)
	if err != nil {
		return nil, err
	}
	get := client.Receipt
	if c.Bool("proof") {
		get = client.Proof
	}
	_, file, err := get(c.Context, id)
	return file, err
}

func saveReceipt(name string, k console, content []byte) error {
	if name == "-" {
		_, err := k.out.Write(content)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("save receipt: %w", err)
	}
	if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
		return fmt.Errorf("save receipt: %w", errors.Join(err, f.Close()))
	}
	return f.Close()
}
