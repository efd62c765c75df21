package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/urfave/cli/v2"
)

// monthRow is one lease in an owner's books. The names and the order of its fields are
// the columns of the CSV file: add new ones at the end.
type monthRow struct {
	Lease        string `json:"lease"`
	Job          string `json:"job"`
	Role         string `json:"role"`
	Counterparty string `json:"counterparty"`
	Started      string `json:"started"` // RFC 3339, UTC
	Ended        string `json:"ended"`
	GPUs         int    `json:"gpus"`
	CreditMS     uint64 `json:"credit_ms"`
	Price        string `json:"price"`        // credits per GPU-hour, decimal and exact
	Amount       string `json:"amount"`       // credits, decimal and exact
	AmountMicro  uint64 `json:"amount_micro"` // the same in micro-credits
	EnergyKWh    string `json:"energy_kwh"`   // rounded down; empty when nothing was measured
	Exit         string `json:"exit"`         // empty without a close
	Outcome      string `json:"outcome"`
	Proof        string `json:"proof"`
	Simulated    bool   `json:"simulated"`
	SelfDealt    bool   `json:"self_dealt"`
}

var monthColumns = []string{
	"lease", "job", "role", "counterparty", "started", "ended", "gpus", "credit_ms", "price", "amount", "amount_micro",
	"energy_kwh", "exit", "outcome", "proof", "simulated", "self_dealt",
}

func (r monthRow) cells() []string {
	return []string{
		r.Lease, r.Job, r.Role, r.Counterparty, r.Started, r.Ended, strconv.Itoa(r.GPUs), strconv.FormatUint(r.CreditMS, 10),
		r.Price, r.Amount, strconv.FormatUint(r.AmountMicro, 10), r.EnergyKWh, r.Exit, r.Outcome, r.Proof,
		strconv.FormatBool(r.Simulated), strconv.FormatBool(r.SelfDealt),
	}
}

// monthBook is a month of leases, with what they come to.
type monthBook struct {
	Month       string     `json:"month"`
	EarnedMicro uint64     `json:"earned_micro"` // as a worker
	SpentMicro  uint64     `json:"spent_micro"`  // as a requester
	Leases      []monthRow `json:"leases"`
}

// add verifies a receipt and takes it in.
func (b *monthBook) add(role string, file []byte) error {
	s, err := receipt.Verify(file)
	if err != nil {
		return refusal(err)
	}
	row := monthRow{
		Lease: s.LeaseID, Job: s.JobID, Role: role, Counterparty: s.Worker,
		Started: s.From.Format(time.RFC3339), Ended: s.To.Format(time.RFC3339), GPUs: len(s.GPUs), CreditMS: s.CreditMS,
		Price: job.FormatPrice(s.Price), Amount: job.FormatPrice(s.Amount), AmountMicro: s.Amount,
		Outcome: s.Ended, Proof: s.Proof, Simulated: s.Simulated, SelfDealt: s.SelfDealt,
	}
	sum := &b.SpentMicro
	if role == "worker" {
		row.Counterparty, sum = s.Requester, &b.EarnedMicro
	}
	if s.Measured != nil {
		row.EnergyKWh = receipt.KWh(s.Measured.EnergyMJ)
	}
	if s.Exit != nil {
		row.Exit = strconv.Itoa(int(s.Exit.Code))
	}
	total, carry := bits.Add64(*sum, s.Amount, 0)
	if carry != 0 {
		return fmt.Errorf("sum of %s: %w", b.Month, job.ErrOverflow)
	}
	*sum, b.Leases = total, append(b.Leases, row)
	return nil
}

func (b *monthBook) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(monthColumns); err != nil {
		return err
	}
	for _, r := range b.Leases {
		if err := out.Write(r.cells()); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func exportMonth(c *cli.Context, k console) error {
	from, err := time.Parse("2006-01", c.String("month"))
	if err != nil {
		return usagef("--month wants a year and a month such as 2026-11, not %q", c.String("month"))
	}
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	book := monthBook{Month: c.String("month"), Leases: []monthRow{}}
	for r, err := range client.ReadReceipts(c.Context, from, from.AddDate(0, 1, 0)) {
		if err != nil {
			return err
		}
		if err := book.add(r.Role, r.Receipt); err != nil {
			return fmt.Errorf("receipt %d of %s: %w", len(book.Leases)+1, book.Month, err)
		}
	}
	name := c.Args().First()
	var content bytes.Buffer
	if c.Bool("json") || strings.HasSuffix(name, ".json") {
		err = printJSON(&content, book)
	} else {
		err = book.csv(&content)
	}
	if err != nil {
		return err
	}
	if err := saveReceipt(name, k, content.Bytes()); err != nil {
		return err
	}
	fmt.Fprintf(k.err, "%s: %d leases, earned %s credits, spent %s credits\n", book.Month, len(book.Leases), credits(book.EarnedMicro), credits(book.SpentMicro))
	return nil
}
