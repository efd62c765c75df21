package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/node/config"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// placement is where a job may run, beside the hardware.
type placement struct {
	Regions       []string        `yaml:"region,omitempty,flow"`
	MaxRTT        config.Duration `yaml:"max_rtt,omitempty"`
	MinReputation uint32          `yaml:"min_reputation,omitempty"`
	Deny          []string        `yaml:"deny,omitempty"`
}

// prefer is what else counts beside the price, in credits per GPU-hour.
type prefer struct {
	Start      *config.Price `yaml:"start,omitempty"`      // of each minute until the task starts
	RTT        *config.Price `yaml:"rtt,omitempty"`        // of each 100 ms of distance
	Reputation *config.Price `yaml:"reputation,omitempty"` // of a perfect reputation over none
}

func placementFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: category, Name: "region", Usage: "only in `REGION`, as owners name it, or one of several: eu,us-east"},
		&cli.StringFlag{Category: category, Name: "max-rtt", Usage: "only within `TIME` of round trip, such as 80ms"},
		&cli.StringFlag{Category: category, Name: "min-reputation", Usage: "only workers of at least `PERCENT`, by the receipts that this node holds; a stranger has 50"},
		&cli.StringSliceFlag{Category: category, Name: "deny", Usage: "never on `PEER`; repeatable"},
		&cli.StringSliceFlag{Category: category, Name: "prefer", Usage: "`start|rtt|reputation=CREDITS`: what a minute's earlier start, 100 ms less distance or a perfect reputation is worth per GPU-hour; repeatable"},
		&cli.BoolFlag{Category: category, Name: "explain", Usage: "print what every bid counts as, part by part", DisableDefaultText: true},
	}
}

// place takes what the flags say about where the job may run.
func (j *jobFile) place(c *cli.Context) error {
	if c.IsSet("region") {
		j.Placement.Regions = strings.Split(c.String("region"), ",")
	}
	j.Placement.Deny = append(j.Placement.Deny, c.StringSlice("deny")...)
	for _, text := range c.StringSlice("prefer") {
		if err := j.Prefer.set(text); err != nil {
			return &usageError{fmt.Errorf("--prefer %s: %w", text, err)}
		}
	}
	return parseFlags(c, flagValue{"max-rtt", &j.Placement.MaxRTT},
		flagValue{"min-reputation", (*number)(&j.Placement.MinReputation)})
}

// set takes one preference, as a flag has it.
func (p *prefer) set(text string) error {
	name, value, _ := strings.Cut(text, "=")
	var credits config.Price
	if err := credits.Set(value); err != nil {
		return err
	}
	switch name {
	case "start":
		p.Start = &credits
	case "rtt":
		p.RTT = &credits
	case "reputation":
		p.Reputation = &credits
	default:
		return errors.New("want start=, rtt= or reputation=")
	}
	return nil
}

// IsZero leaves preferences nobody stated out of a job file.
func (p prefer) IsZero() bool { return p == prefer{} }

// message is the preference as a submission has it: what was not said is the default's.
func (p prefer) message(maxPrice uint64) *leasev1.Preference {
	if p.IsZero() {
		return nil
	}
	d := market.DefaultPreference(maxPrice)
	or := func(said *config.Price, otherwise uint64) uint64 {
		if said != nil {
			return uint64(*said)
		}
		return otherwise
	}
	return &leasev1.Preference{
		Set: true, StartMinute: or(p.Start, d.StartMinute), Rtt: or(p.RTT, d.RTT), Reputation: or(p.Reputation, d.Reputation),
	}
}

func (p placement) message() *leasev1.Placement {
	return &leasev1.Placement{
		Regions: p.Regions, MaxRttMs: time.Duration(p.MaxRTT).Milliseconds(), MinReputation: p.MinReputation, Deny: p.Deny,
	}
}

// check names everything that is wrong with where a job may run.
func (p placement) check() (problems []error) {
	for _, r := range p.Regions {
		if !job.IsRegion(r) {
			problems = append(problems, fmt.Errorf("region %q: want a-z, 0-9 and hyphens between them, such as eu-west", r))
		}
	}
	if p.MinReputation > 100 {
		problems = append(problems, fmt.Errorf("reputation of at least %d: want 0 to 100 percent", p.MinReputation))
	}
	for _, id := range p.Deny {
		if _, err := peer.Decode(id); err != nil {
			problems = append(problems, fmt.Errorf("denied worker %q: want a peer id, as rigmesh offers --json prints it", id))
		}
	}
	return problems
}
