package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func receiptCommand(k console) *cli.Command {
	group := &cli.Command{
		Name:      "receipt",
		Usage:     "show, check, replay, list and save receipts",
		UsageText: "rigmesh receipt COMMAND [flags] [arguments]",
		Category:  categoryAll,
		Description: "A receipt says how long a lease was served and what it cost, signed by both sides.\n" +
			"Anybody can check one, with nothing but the file.\n\n" +
			examples("rigmesh receipt list", "rigmesh receipt show 3f2a", "rigmesh receipt export 3f2a lease.receipt",
				"rigmesh receipt verify lease.receipt", "rigmesh receipt export --month 2026-11 november.csv"),
		HideHelpCommand: true,
		OnUsageError:    func(c *cli.Context, err error, _ bool) error { return flagProblem(c, err) },
		Flags:           globalFlags(),
		Action:          func(c *cli.Context) error { return noSubcommand(c) },
	}
	group.Subcommands = []*cli.Command{
		command(&cli.Command{
			Name: "show", Usage: "say for people what a receipt says, and what it does not", ArgsUsage: "ID|FILE",
			Description: "A receipt of this node is shown with what its journal has of the heartbeats.\n\n" +
				examples("rigmesh receipt show 3f2a", "rigmesh receipt show --json lease.receipt"),
			Flags:  append(policyFlags(), jsonFlag()),
			Action: func(c *cli.Context) error { return receiptShow(c, k) },
		}, arguments{1, 1}),
		command(&cli.Command{
			Name: "verify", Usage: "check a receipt, a whole lease or a proof of fraud, offline", ArgsUsage: "FILE",
			Description: "Needs no node, no data directory and no network. - reads standard input. Exits with 0 when all\n" +
				"of it holds and as many witnesses attested as --quorum demands, with 1 otherwise.\n\n" +
				examples("rigmesh receipt verify lease.receipt", "rigmesh receipt verify --witness 12D3Koo… --witness 12D3Kop… --quorum 2 lease.receipt"),
			Flags:  append(policyFlags(), jsonFlag()),
			Action: func(c *cli.Context) error { return receiptVerify(c, k) },
		}, arguments{1, 1}),
		auditCommand(k),
		command(&cli.Command{
			Name: "list", Usage: "list this node's receipts", Description: examples("rigmesh receipt list --json"),
			Flags:  []cli.Flag{jsonFlag()},
			Action: func(c *cli.Context) error { return receiptList(c, k) },
		}, arguments{0, 0}),
		exportCommand(k),
	}
	return group
}

func policyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "witness", Usage: "count only this witness: a peer `ID`, or its key in hexadecimal; repeatable"},
		&cli.IntFlag{Name: "quorum", Usage: "demand that this `number` of witnesses attested; with --witness all of them", DefaultText: "none"},
	}
}

// policyOf is whose word counts for whoever typed the flags.
func policyOf(c *cli.Context) (p receipt.Policy, err error) {
	for _, name := range c.StringSlice("witness") {
		key, err := witnessKey(name)
		if err != nil {
			return receipt.Policy{}, &usageError{err}
		}
		p.Witnesses = append(p.Witnesses, key)
	}
	p.Quorum = len(p.Witnesses)
	if c.IsSet("quorum") {
		p.Quorum = c.Int("quorum")
	}
	if p.Quorum < 0 {
		return receipt.Policy{}, usagef("--quorum wants a number of witnesses, not %d", p.Quorum)
	}
	return p, nil
}

func witnessKey(name string) (ed25519.PublicKey, error) {
	if key, err := hex.DecodeString(name); err == nil && statement.CheckKey(key) == nil {
		return key, nil
	}
	id, err := peer.Decode(name)
	if err != nil {
		return nil, fmt.Errorf("--witness %q is neither a peer id nor an Ed25519 key in hexadecimal", name)
	}
	return job.PublicKey(id)
}

// finding is what a file turned out to say.
type finding interface{ Text(io.Writer) error }

// check verifies a file of any kind. With receipt.ErrQuorum the finding is good all the same.
func check(p receipt.Policy, file []byte) (finding, error) {
	switch receipt.KindOf(file) {
	case receipt.KindWhole:
		return p.VerifyWhole(file)
	case receipt.KindEquivocation:
		return receipt.VerifyEquivocation(file)
	default:
		return p.Verify(file)
	}
}

// refusal words why a file is not accepted.
func refusal(err error) error {
	switch {
	case errors.Is(err, receipt.ErrQuorum):
		return hint(fmt.Errorf("a valid receipt, but %w", err), "who counts and how many is up to you: --witness and --quorum")
	case errors.Is(err, receipt.ErrNotReceipt):
		return hint(fmt.Errorf("this receipt proves nothing: %w", err),
			"a receipt is the file that rigmesh receipt export writes; what --json prints, and copied text, have no signatures to check")
	case errors.Is(err, statement.ErrVersion):
		return hint(fmt.Errorf("this receipt cannot be checked: %w", err), "perhaps a newer rigmesh wrote it; this one is %s", version)
	}
	return hint(fmt.Errorf("this receipt proves nothing: %w", err), "ask whoever gave it to you for the original file; a receipt cannot be edited")
}

func receiptVerify(c *cli.Context, k console) error {
	p, err := policyOf(c)
	if err != nil {
		return err
	}
	name := c.Args().First()
	file, err := readReceipt(name, k)
	if errors.Is(err, fs.ErrNotExist) && isID(name) {
		return hint(err, "only files are verified: rigmesh receipt export %s FILE writes that of a lease of this node", name)
	}
	if err != nil {
		return err
	}
	found, err := check(p, file)
	if err != nil {
		return refusal(err)
	}
	if c.Bool("json") {
		return printJSON(k.out, found)
	}
	return verdict(k.out, found)
}

// verdict says in a few lines that a file holds, and what it comes to.
func verdict(w io.Writer, found finding) error {
	var s receipt.Summary
	switch found := found.(type) {
	case receipt.Fault:
		fmt.Fprintln(w, "A valid proof of equivocation.")
		return found.Text(w)
	case receipt.Audit:
		s = found.Summary
	case receipt.Summary:
		s = found
	}
	fmt.Fprintf(w, "A valid receipt: %s.\n", s.Proof)
	if s.Simulated {
		fmt.Fprintln(w, "Simulated: no real GPU was lent.")
	}
	if s.SelfDealt {
		fmt.Fprintln(w, "Self-dealt: worker and requester are one node, so it is worth nothing to anybody else.")
	}
	if len(s.Disputed) > 0 {
		fmt.Fprintf(w, "Disputed by the requester: %s.\n", strings.Join(s.Disputed, "; "))
	}
	_, err := fmt.Fprintf(w, "%s credits for %s, from %s for %s, lease %s of network %s\n",
		credits(s.Amount), spanMS(s.CreditMS), shortPeer(s.Worker), shortPeer(s.Requester), s.LeaseID, s.Network)
	return err
}

// receiptShow tells all there is to tell: nothing unchecked is ever shown.
func receiptShow(c *cli.Context, k console) error {
	p, err := policyOf(c)
	if err != nil {
		return err
	}
	file, err := fileOr(c, k, c.Args().First(), fetchLease)
	if err != nil {
		return err
	}
	return printFinding(c, k, p, file)
}

func printFinding(c *cli.Context, k console, p receipt.Policy, file []byte) error {
	found, err := check(p, file)
	if err != nil {
		return refusal(err)
	}
	if c.Bool("json") {
		return printJSON(k.out, found)
	}
	return found.Text(k.out)
}

// fetchLease asks the node for a receipt and all that its journal has behind it, or else
// for the receipt alone.
func fetchLease(c *cli.Context, k console, id string) ([]byte, error) {
	client, err := dial(c, k)
	if err != nil {
		return nil, err
	}
	file, _, err := client.OpenLease(c.Context, id, false)
	if errors.Is(err, control.ErrNotFound) {
		_, file, err = client.Receipt(c.Context, id)
	}
	return file, err
}

// fileOr reads the file of that name; where there is none, it is an id of a lease that fetch
// asks the node for.
func fileOr(c *cli.Context, k console, name string, fetch func(*cli.Context, console, string) ([]byte, error)) ([]byte, error) {
	file, err := readReceipt(name, k)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if !isID(name) {
		return nil, hint(err, "nor is %q the beginning of the id of a lease or a job: rigmesh receipt list shows those of this node", name)
	}
	return fetch(c, k, name)
}

// isID says whether a name may be the beginning of the id of a lease or a job.
func isID(name string) bool { return name != "" && strings.Trim(name, "0123456789abcdef") == "" }

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
	file, err := io.ReadAll(io.LimitReader(in, receipt.MaxWholeSize+1))
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	return file, nil // one that is too large is refused as any other that is wrong
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
