package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func describeCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "describe",
		Usage:     "tell everything known about a job",
		Category:  categoryRent,
		ArgsUsage: "JOB",
		Description: "What was asked for, who runs it, what it has cost and what has happened. Values of environment\n" +
			"variables are in --json only.\n\n" +
			examples("rigmesh describe 3f2a", "rigmesh describe --json 3f2a | jq .submission.spec.image"),
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error { return describeJob(c, k) },
	}, arguments{1, 1})
}

// description is all that a node says of a job of its own.
type description struct {
	job        *controlv1.Job
	submission *leasev1.Submission
	events     []*leasev1.JobEvent
}

func describeJob(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	d, err := readDescription(c, client)
	if err != nil {
		return hint(err, "rigmesh ps --all lists the jobs")
	}
	if c.Bool("json") {
		return d.printJSON(k)
	}
	return d.print(k)
}

func readDescription(c *cli.Context, client *control.Client) (description, error) {
	explained, err := client.ExplainJob(c.Context, c.Args().First())
	if err != nil {
		return description{}, err
	}
	d := description{job: &controlv1.Job{JobId: explained.JobId, State: explained.State}, submission: explained.Submission}
	jobs, err := client.Jobs(c.Context, true)
	if err != nil {
		return d, err
	}
	for _, j := range jobs { // one id may be a job here and a lease served here
		if j.JobId == explained.JobId && j.Role == "requester" {
			d.job = j
		}
	}
	for item, err := range client.Watch(c.Context, &controlv1.WatchJobRequest{JobId: explained.JobId, EventsOnly: true}) {
		if err != nil {
			return d, err
		}
		d.events = append(d.events, item.GetEvent())
	}
	return d, nil
}

// printJSON prints the job as ps does, with the submission and the events as they are
// in the control protocol.
func (d description) printJSON(k console) error {
	view := struct {
		jobView
		Submission json.RawMessage   `json:"submission"`
		Events     []json.RawMessage `json:"events"`
	}{jobView: jobViews([]*controlv1.Job{d.job})[0], Events: []json.RawMessage{}}
	encode := func(m proto.Message) (json.RawMessage, error) {
		return protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	}
	var err error
	if view.Submission, err = encode(d.submission); err != nil {
		return err
	}
	for _, e := range d.events {
		b, err := encode(e)
		if err != nil {
			return err
		}
		view.Events = append(view.Events, b)
	}
	return printJSON(k.out, view)
}

// print tells it to people; what is not known is left away.
func (d description) print(k console) error {
	t := newTable(k.out, "job", d.job.JobId)
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			t.row(name, text)
		}
	}
	s, j := d.submission.GetSpec(), d.job
	line("name", "%s", s.GetName())
	line("state", "%s", j.State)
	line("created", "%s", ago(j.CreatedMs))
	line("image", "%s", s.GetImage().GetName())
	line("digest", "%s", s.GetImage().GetDigest())
	line("entrypoint", "%s", quoted(s.GetEntrypoint()))
	line("command", "%s", quoted(s.GetCommand()))
	line("variables", "%s", namesOf(s.GetEnv()))
	line("wanted", "%s, at most %s credits per GPU-hour", wantedBy(d.submission), credits(d.submission.GetMaxPrice()))
	line("limits", "%s", limitsOf(s.GetResources()))
	for _, in := range s.GetInputs() {
		line("input", "%s, %s, %s", in.Path, size(in.TotalBytes), in.Manifest)
	}
	d.outputs(line)
	line("network", "%s", networkOf(s.GetEgress()))
	line("worker", "%s", j.PeerId)
	line("lease", "%s", j.LeaseId)
	line("credited", "%s in %s, %s credits", spanMS(j.CreditMs), several(uint32(j.Beats), "heartbeat"), credits(j.Amount))
	line("exit code", "%s", exitText(j.Exit))
	if j.Exit != nil {
		line("ended so", "%s", job.CauseSentence(j.Exit))
	}
	if err := t.flush(); err != nil {
		return err
	}
	return d.history(k)
}

// outputs names the folders that are asked for and, once they are here, their digests, by which
// rigmesh share gives them to others.
func (d description) outputs(line func(name, format string, args ...any)) {
	here := map[string]*leasev1.Output{}
	for _, e := range d.events {
		for _, o := range e.GetEnded().GetOutputs() {
			here[o.Path] = o
		}
	}
	for _, path := range d.submission.GetSpec().GetOutputs() {
		if o := here[path]; o != nil {
			line("output", "%s, %s, %s", path, size(o.TotalBytes), o.Manifest)
		} else {
			line("output", "%s", path)
		}
	}
}

// history tells what happened, without what comes once an interval or oftener.
func (d description) history(k console) error {
	fmt.Fprintln(k.out)
	t := newTable(k.out, "WHEN", "WHAT")
	var last leasev1.Phase
	var layer string
	for _, e := range d.events {
		text := ""
		switch e := e.GetEvent().(type) {
		case *leasev1.JobEvent_Bid:
			text = fmt.Sprintf("bid of %s: %s credits per GPU-hour", shortPeer(e.Bid.PeerId), credits(e.Bid.GetBid().GetPrice()))
		case *leasev1.JobEvent_Decline:
			text = "declined by " + shortPeer(e.Decline.PeerId)
		case *leasev1.JobEvent_Lease:
			text = fmt.Sprintf("leased from %s at %s credits per GPU-hour", shortPeer(e.Lease.PeerId), credits(e.Lease.GetTerms().GetPrice()))
		case *leasev1.JobEvent_Progress:
			if p := e.Progress.GetPhase(); p != last {
				last, text = p, phases[p]
			} else if l := e.Progress.GetLayer(); l != nil && layer != layerName(l) {
				layer = layerName(l)
				text = layer
			}
		case *leasev1.JobEvent_Trouble:
			text = e.Trouble.GetSentence()
		case *leasev1.JobEvent_Ended:
			text = sentence(e.Ended, "ended")
		}
		if text != "" {
			t.row(ago(e.AtMs), text)
		}
	}
	return t.flush()
}

// quoted writes arguments so that one can see where each ends.
func quoted(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; a == "" || strings.ContainsAny(a, " \t\n\"'\\$") {
			out[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(out, " ")
}

// namesOf leaves the values of variables away: they are often secrets.
func namesOf(env []string) string {
	names := make([]string, len(env))
	for i, e := range env {
		names[i], _, _ = strings.Cut(e, "=")
	}
	return strings.Join(names, " ")
}

func limitsOf(r *marketv1.Resources) string {
	var parts []string
	if n := r.GetCpuMillis(); n > 0 {
		parts = append(parts, fmt.Sprintf("%g cores", float64(n)/1000))
	}
	if n := r.GetMemoryBytes(); n > 0 {
		parts = append(parts, size(n)+" memory")
	}
	if n := r.GetDiskBytes(); n > 0 {
		parts = append(parts, size(n)+" disk")
	}
	if n := r.GetPids(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d processes", n))
	}
	return strings.Join(parts, ", ")
}

func networkOf(e *marketv1.Egress) string {
	switch {
	case e.GetPublic():
		return egressPublic
	case len(e.GetHosts()) > 0:
		return strings.Join(e.Hosts, ", ")
	default:
		return "none"
	}
}
