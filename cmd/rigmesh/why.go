package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/requester"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func whyCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "why",
		Usage:     "say why a job found nobody, or why this machine is idle",
		Category:  categoryAll,
		ArgsUsage: "[JOB]",
		Description: "With a JOB: what it asked for, who bid and what each bid counted as, who declined and what would help.\n" +
			"Without one: which jobs this machine's worker heard of, and what became of each.\n\n" +
			examples("rigmesh why 3f2a", "rigmesh why", "rigmesh why --json | jq '.heard[0]'"),
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error { return why(c, k) },
	}, arguments{0, 1})
}

func why(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Args().Len() == 0 {
		resp, err := client.ExplainWorker(c.Context)
		if err != nil {
			return err
		}
		return printIdle(c, k, resp)
	}
	resp, err := client.ExplainJob(c.Context, c.Args().First())
	if err != nil {
		return hint(err, "rigmesh ps --all lists the jobs")
	}
	return printWhy(c, k, resp)
}

// printWhy tells how a job's search went.
func printWhy(c *cli.Context, k console, e *controlv1.ExplainJobResponse) error {
	want := requester.Wants(e.Submission)
	want.Now = time.Now()
	var a answers
	var end *leasev1.JobEnded
	var lease *leasev1.LeaseSigned
	for _, ev := range e.Events {
		switch ev := ev.Event.(type) {
		case *leasev1.JobEvent_Bid:
			a.bid(ev.Bid)
		case *leasev1.JobEvent_Decline:
			a.decline(ev.Decline)
		case *leasev1.JobEvent_Lease:
			lease = ev.Lease
		case *leasev1.JobEvent_Ended:
			end = ev.Ended
		}
	}
	if c.Bool("json") {
		return printJSON(k.out, whyView(e, &a, want))
	}
	fmt.Fprintf(k.out, "job %s, %s: wanted %s, at most %s credits per GPU-hour\n", short(e.JobId), job.CleanText(e.State), wantedBy(e.Submission), credits(want.MaxPrice))
	if len(a.bids) > 0 {
		if err := a.scores(k.out); err != nil {
			return err
		}
	}
	if len(a.declines) > 0 {
		if err := a.table(k.out, want); err != nil {
			return err
		}
	}
	switch {
	case lease != nil:
		fmt.Fprintf(k.out, "leased from %s at %s credits per GPU-hour\n", shortPeer(job.CleanText(lease.PeerId)), credits(lease.GetTerms().GetPrice()))
	case len(a.declines)+len(a.bids) == 0:
		fmt.Fprintln(k.out, sentence(end, "nobody answered so far"))
	default:
		text, help := a.verdict(want, end)
		fmt.Fprintf(k.out, "%s\n%s\n", text, help)
	}
	return nil
}

// wantedBy says what a job asks of devices, in a few words.
func wantedBy(s *leasev1.Submission) string {
	spec := s.GetSpec()
	return market.Wanted(spec.GetGpu(), spec.GetResources(), s.GetPlacement().GetRegions())
}

// explanation is a job's search as --json prints it.
type explanation struct {
	JobID    string              `json:"job"`
	State    string              `json:"state"`
	MaxPrice uint64              `json:"max_price_micro"`
	Bids     []bidView           `json:"bids"`
	Declines []market.DeclineRow `json:"declines"`
	Nearest  string              `json:"nearest,omitempty"`
}

// bidView is a bid with its score, in micro-credits per GPU-hour.
type bidView struct {
	Worker     string `json:"worker"`
	Total      uint64 `json:"counts_as_micro"`
	Price      uint64 `json:"price_micro"`
	Start      uint64 `json:"start_micro"`
	Distance   uint64 `json:"distance_micro"`
	Reputation uint64 `json:"reputation_micro"`
	RTT        int64  `json:"rtt_ms"`
	Percent    uint32 `json:"reputation_percent"`
	Refused    string `json:"refused,omitempty"`
}

func whyView(e *controlv1.ExplainJobResponse, a *answers, want market.Wants) explanation {
	v := explanation{JobID: e.JobId, State: e.State, MaxPrice: want.MaxPrice, Bids: []bidView{}, Declines: market.DeclineTable(a.declines, want)}
	for _, b := range a.bids {
		s := b.GetScore()
		v.Bids = append(v.Bids, bidView{
			Worker: b.PeerId, Total: s.GetTotal(), Price: s.GetPrice(), Start: s.GetStart(), Distance: s.GetDistance(),
			Reputation: s.GetReputation(), RTT: s.GetRttMs(), Percent: s.GetPercent(), Refused: reason(b),
		})
	}
	_, v.Nearest = market.NearestTerms(a.declines, want)
	return v
}

var errNoWorker = errors.New("this node only rents: it has nothing that could be idle")
