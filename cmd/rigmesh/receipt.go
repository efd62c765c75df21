package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/rigmesh/rigmesh/job/receipt"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func receiptCommand(k console) *cli.Command {
	group := &cli.Command{
		Name:      "receipt",
		Usage:     "show, check, list and save receipts",
		UsageText: "rigmesh receipt COMMAND [flags] [arguments]",
		Category:  categoryAll,
		Description: "A receipt says how long a lease was served and what it cost, signed by both sides.\n" +
			"Anybody can check one, with nothing but the file.\n\n" +
			examples("rigmesh receipt list", "rigmesh receipt export 3f2a lease.receipt", "rigmesh receipt verify lease.receipt"),
		HideHelpCommand: true,
		OnUsageError:    func(c *cli.Context, err error, _ bool) error { return flagProblem(c, err) },
		Flags:           globalFlags(),
		Action:          func(c *cli.Context) error { return noSubcommand(c) },
	}
	group.Subcommands = []*cli.Command{
		command(&cli.Command{
			Name: "show", Usage: "print a receipt for people", ArgsUsage: "ID|FILE",
			Description: examples("rigmesh receipt show 3f2a", "rigmesh receipt show --json lease.receipt"),
			Flags:       []cli.Flag{jsonFlag()},
			Action:      func(c *cli.Context) error { return receiptShow(c, k) },
		}, arguments{1, 1}),
		command(&cli.Command{
			Name: "verify", Usage: "check a receipt, offline", ArgsUsage: "FILE",
			Description: "Needs no node, no data directory and no network. - reads standard input.\n\n" + examples("rigmesh receipt verify lease.receipt"),
			Flags:       []cli.Flag{jsonFlag()},
			Action:      func(c *cli.Context) error { return receiptVerify(c, k) },
		}, arguments{1, 1}),
		command(&cli.Command{
			Name: "list", Usage: "list this node's receipts", Description: examples("rigmesh receipt list --json"),
			Flags:  []cli.Flag{jsonFlag()},
			Action: func(c *cli.Context) error { return receiptList(c, k) },
		}, arguments{0, 0}),
		command(&cli.Command{
			Name: "export", Usage: "save a receipt as a file", ArgsUsage: "ID FILE",
			Description: "- writes to standard output.\n\n" + examples("rigmesh receipt export 3f2a lease.receipt"),
			Action:      func(c *cli.Context) error { return receiptExport(c, k) },
		}, arguments{2, 2}),
	}
	return group
}

func receiptVerify(c *cli.Context, k console) error {
	text, err := readReceipt(c.Args().First(), k)
	if err != nil {
		return err
	}
	return printReceipt(c, k, text)
}

// receiptShow is receiptVerify for a file or an id: nothing unchecked is ever shown.
func receiptShow(c *cli.Context, k console) error {
	name := c.Args().First()
	text, err := readReceipt(name, k)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = fetchReceipt(c, k, name)
	}
	if err != nil {
		return err
	}
	return printReceipt(c, k, text)
}

// maxReceipt is more than any receipt has, in bytes.
const maxReceipt = 1 << 20

func readReceipt(name string, k console) ([]byte, error) {
	in := k.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read receipt: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxReceipt+1))
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	if len(text) > maxReceipt {
		return nil, fmt.Errorf("read receipt %s: more than %d bytes, so it is none", name, maxReceipt)
	}
	return text, nil
}

func fetchReceipt(c *cli.Context, k console, id string) ([]byte, error) {
	client, err := dial(c, k)
	if err != nil {
		return nil, err
	}
	_, text, err := client.Receipt(c.Context, id)
	return text, err
}

func receiptExport(c *cli.Context, k console) error {
	text, err := fetchReceipt(c, k, c.Args().First())
	if err != nil {
		return err
	}
	file := c.Args().Get(1)
	if file == "-" {
		_, err = k.out.Write(text)
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("save receipt: %w", err)
	}
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("save receipt: %w", errors.Join(err, f.Close()))
	}
	return f.Close()
}

func receiptList(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	lines, err := client.Receipts(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(k.out, receiptViews(lines))
	}
	t := newTable(k.out, "LEASE", "JOB", "ROLE", "PEER", "ENDED", "CREDITED", "AMOUNT", "SIMULATED")
	for _, r := range lines {
		t.row(short(r.LeaseId), short(r.JobId), r.Role, shortPeer(r.PeerId), ago(r.EndedMs),
			spanMS(r.CreditMs), credits(r.Amount), map[bool]string{true: "yes"}[r.Simulated])
	}
	return t.flush()
}

// receiptView is a line of receipt list as --json prints it; amounts are in micro-credits.
type receiptView struct {
	Lease     string `json:"lease"`
	Job       string `json:"job"`
	Role      string `json:"role"`
	Peer      string `json:"peer"`
	Ended     string `json:"ended"`
	CreditMS  uint64 `json:"credit_ms"`
	Amount    uint64 `json:"amount_micro"`
	Simulated bool   `json:"simulated"`
}

func receiptViews(lines []*controlv1.ReceiptLine) []receiptView {
	views := make([]receiptView, 0, len(lines))
	for _, r := range lines {
		views = append(views, receiptView{r.LeaseId, r.JobId, r.Role, r.PeerId, rfc3339(r.EndedMs), r.CreditMs, r.Amount, r.Simulated})
	}
	return views
}

// printReceipt checks a receipt and says what it proves, or what is wrong with it.
func printReceipt(c *cli.Context, k console, text []byte) error {
	summary, err := receipt.Verify(text)
	if err != nil {
		return hint(fmt.Errorf("this receipt proves nothing: %w", err), "ask whoever gave it to you for the original file; a receipt cannot be edited")
	}
	if c.Bool("json") {
		return printJSON(k.out, summary)
	}
	fmt.Fprintln(k.out, "A valid receipt.")
	return summary.Text(k.out)
}
