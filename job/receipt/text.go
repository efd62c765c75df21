package receipt

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
)

// page is text for people: a name and a fact on each line, then what to bear in mind.
type page struct{ strings.Builder }

func (p *page) line(name, format string, args ...any) {
	fmt.Fprintf(p, "%-11s%s\n", name, fmt.Sprintf(format, args...))
}

func (p *page) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(p, "\n%s\n", title)
	for _, item := range items {
		fmt.Fprintf(p, "  - %s\n", item)
	}
}

// Text writes the summary for people.
func (s Summary) Text(w io.Writer) error {
	var p page
	s.facts(&p, many(uint64(len(s.GPUs)), "device")+" (the whole lease says of what model)")
	p.line("gaps", "%s", s.uncredited())
	s.sums(&p)
	p.list("What it does not prove:", s.limits())
	_, err := io.WriteString(w, p.String())
	return err
}

// Text writes the audit for people.
func (a Audit) Text(w io.Writer) error {
	var p page
	a.facts(&p, cmp.Or(counted(a.Devices), many(uint64(len(a.GPUs)), "device")))
	a.gaps(&p)
	a.sums(&p)
	p.line("replayed", "%s: every signature, sum and hash of the tree", many(a.Seals.Beats, "heartbeat"))
	if a.Squarings > 0 {
		how := ""
		if a.Seals.Folded {
			how = ", all by one proof"
		}
		p.line("seals", "%d of %s, %d squarings each%s", a.Seals.Sealed, many(a.Seals.Beats, "heartbeat"), a.Squarings, how)
	}
	p.line("samples", "%s", a.Samples)
	if a.Disputes > 0 {
		p.line("disputed", "the evidence of %s", many(a.Disputes, "heartbeat"))
	}
	p.list("What it does not prove:", a.limits())
	_, err := io.WriteString(w, p.String())
	return err
}

// facts are who, what and when. Devices are how many there are of what, as far as that is known.
func (s Summary) facts(p *page, devices string) {
	p.line("lease", "%s", s.LeaseID)
	p.line("network", "%s", s.Network)
	p.line("worker", "%s, who lent", s.Worker)
	p.line("requester", "%s, who rented", s.Requester)
	gpu := fmt.Sprintf("%s, %s", devices, strings.Join(shortened(s.GPUs), " "))
	if s.Simulated {
		gpu += ", simulated: no real GPU was lent"
	}
	p.line("GPU", "%s", gpu)
	p.line("from", "%s", stamp(s.From))
	p.line("to", "%s", stamp(s.To))
	p.line("credited", "%s, in %s", span(s.CreditMS), many(s.Beats, "heartbeat"))
}

// uncredited says how much of the task's time was not paid, as far as a receipt alone tells.
func (s Summary) uncredited() string {
	if s.Exit == nil {
		return "not known without a closing statement"
	}
	if s.Exit.RanMS <= s.CreditMS {
		return "none"
	}
	text := fmt.Sprintf("%s of %s were not credited", span(s.Exit.RanMS-s.CreditMS), span(s.Exit.RanMS))
	if s.Exit.RanMS-s.CreditMS < 1000 { // a task runs for a moment before it is known to
		return "none to speak of: " + text
	}
	return text + "; rigmesh receipt audit says where"
}

func (a Audit) gaps(p *page) {
	if len(a.Gaps) == 0 {
		p.line("gaps", "%s", strings.Replace(a.uncredited(), "; rigmesh receipt audit says where", ", after the last heartbeat or beyond what the terms pay for", 1))
	}
	for _, g := range a.Gaps {
		p.line("gap", "%s", g)
	}
}

// String is a gap and its reason, as far as the chain tells one.
func (g Gap) String() string {
	why := "the credit was made up for afterwards"
	if g.UnpaidMS > 0 {
		why = span(g.UnpaidMS) + " not credited"
	}
	if g.Suspended {
		why += ", the task was frozen"
	}
	return fmt.Sprintf("%s to %s: no heartbeat for %s, %s", stamp(g.From), g.To.Format(time.TimeOnly), many(g.Missed, "interval"), why)
}

// sums are what it comes to, how it ended, and what that rests on.
func (s Summary) sums(p *page) {
	if m := s.Measured; m != nil {
		p.line("energy", "%s, measured by the worker's machine", energy(m.EnergyMJ))
		p.line("GPU busy", "as much as %s at full load", span(m.BusyMS))
	}
	p.line("amount", "%s credits, at %s per GPU-hour", job.FormatPrice(s.Amount), job.FormatPrice(s.Price))
	if c := s.Claimed; c != nil {
		p.line("claimed", "%s credits for %s, by the worker alone", job.FormatPrice(c.Amount), span(c.CreditMS))
	}
	p.line("ended", "%s", s.Ended)
	if s.Exit != nil {
		p.line("exit", "%s", s.Exit)
	}
	for _, d := range s.Disputed {
		p.line("disputed", "%s", d)
	}
	p.line("proof", "%s", s.Proof)
	if w := s.Witnesses; w.CreditMS > 0 {
		p.line("witnessed", "%s of credit, live from %s to %s", span(w.CreditMS), stamp(w.From), stamp(w.To))
	}
}

// limits are what a reader must not read into it.
func (s Summary) limits() []string {
	var no []string
	if s.SelfDealt {
		no = append(no, "anything to anybody else: worker and requester are one node")
	}
	if s.Witnesses.CreditMS == 0 {
		no = append(no, "when it was: times are the signers' own, and no quorum of witnesses confirms them")
	} else {
		no = append(no, "that the witnesses are independent of the two: that is for you to judge")
	}
	return append(no,
		"that a GPU did the work, or that nobody else used it: the worker's machine says so",
		"that it was paid, or that no later receipt of this lease exists")
}

func (a Audit) limits() []string {
	no := a.Summary.limits()
	if a.Squarings > 0 {
		no = append(no, "how long the seals took: faster hardware is faster, so they are a floor and not a clock")
	}
	return no
}

// String says what is known of the samples.
func (s Samples) String() string {
	text := fmt.Sprintf("%d of %d opened, and the evidence says of them what is in them", s.Opened, s.Committed)
	if s.Opened == 0 {
		text = fmt.Sprintf("none of %d opened: the evidence is the worker's summary", s.Committed)
	}
	if s.Lost > 0 {
		text += fmt.Sprintf("; %d were lost by the worker", s.Lost)
	}
	return text
}

// String is the exit in a few words.
func (e *Exit) String() string {
	switch {
	case e.Error != "":
		return fmt.Sprintf("%d (%s)", e.Code, e.Error)
	case e.Why != "":
		return fmt.Sprintf("%d: %s", e.Code, e.Why)
	case e.Signal != 0:
		return fmt.Sprintf("%d (signal %d)", e.Code, e.Signal)
	}
	return fmt.Sprint(e.Code)
}

// KWh writes millijoules as kilowatt-hours with six decimals, rounded down.
func KWh(mj uint64) string {
	const perMilliwattHour = 3_600
	mwh := mj / perMilliwattHour
	return fmt.Sprintf("%d.%06d", mwh/1_000_000, mwh%1_000_000)
}

// energy writes millijoules for people: what is much in kilowatt-hours, the rest in watt-hours.
func energy(mj uint64) string {
	if wh := float64(mj) / 3_600_000; wh < 1000 {
		return fmt.Sprintf("%.1f Wh", wh)
	}
	return fmt.Sprintf("%.3f kWh", float64(mj)/3_600_000_000)
}

func span(ms uint64) string {
	if ms > 1<<52 {
		return fmt.Sprintf("%d ms", ms)
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05") + " UTC" }

func many(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// counted says how many there are of each, in the order in which they first come.
func counted(names []string) string {
	n := map[string]uint64{}
	for _, name := range names {
		n[name]++
	}
	var out []string
	for _, name := range names {
		if n[name] > 0 {
			out = append(out, fmt.Sprintf("%d × %s", n[name], name))
			delete(n, name)
		}
	}
	return strings.Join(out, ", ")
}

func short(hex string) string { return hex[:min(len(hex), 12)] }

func shortened(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = short(id)
	}
	return out
}
