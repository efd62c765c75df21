package main

import (
	"fmt"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/urfave/cli/v2"
)

func psCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        "ps",
		Usage:       "list this machine's jobs, and the leases it serves",
		Category:    categoryAll,
		Description: examples("rigmesh ps", "rigmesh ps -a --json"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "ended ones too", DisableDefaultText: true},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return ps(c, k) },
	}, arguments{0, 0})
}

func ps(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	jobs, err := client.Jobs(c.Context, c.Bool("all"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(k.out, jobViews(jobs))
	}
	t := newTable(k.out, "JOB", "NAME", "ROLE", "STATE", "IMAGE", "PEER", "CREATED", "CREDITED", "AMOUNT", "EXIT")
	for _, j := range jobs {
		t.row(short(j.JobId), j.Name, j.Role, j.State, j.Image, shortPeer(j.PeerId), ago(j.CreatedMs),
			spanMS(j.CreditMs), credits(j.Amount), exitText(j.Exit))
	}
	return t.flush()
}

func exitText(e *leasev1.Exit) string {
	switch {
	case e == nil:
		return ""
	case e.Oom:
		return fmt.Sprintf("%d (out of memory)", e.Code)
	case e.Signal != 0:
		return fmt.Sprintf("%d (signal %d)", e.Code, e.Signal)
	default:
		return fmt.Sprint(e.Code)
	}
}

// jobView is a job or lease as --json prints it; amounts are in micro-credits.
type jobView struct {
	Job      string `json:"job"`
	Lease    string `json:"lease,omitempty"`
	Name     string `json:"name,omitempty"`
	Role     string `json:"role"`
	State    string `json:"state"`
	Image    string `json:"image,omitempty"`
	Peer     string `json:"peer,omitempty"`
	Created  string `json:"created,omitempty"`
	CreditMS uint64 `json:"credit_ms"`
	Amount   uint64 `json:"amount_micro"`
	Beats    uint64 `json:"beats"`
	Exit     *int32 `json:"exit,omitempty"`
	OOM      bool   `json:"out_of_memory,omitempty"`
}

func jobViews(jobs []*controlv1.Job) []jobView {
	views := make([]jobView, 0, len(jobs))
	for _, j := range jobs {
		v := jobView{
			Job: j.JobId, Lease: j.LeaseId, Name: j.Name, Role: j.Role, State: j.State, Image: j.Image, Peer: j.PeerId,
			Created: rfc3339(j.CreatedMs), CreditMS: j.CreditMs, Amount: j.Amount, Beats: j.Beats, OOM: j.Exit.GetOom(),
		}
		if j.Exit != nil {
			v.Exit = &j.Exit.Code
		}
		views = append(views, v)
	}
	return views
}
