package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// answers are what workers said to a job: the last word of each.
type answers struct {
	bids     []*leasev1.BidReceived
	declines []*marketv1.Decline
	from     []string // who said each decline
}

// decline keeps what a worker said last: it may be asked twice.
func (a *answers) decline(d *leasev1.DeclineReceived) {
	who := shortPeer(job.CleanText(d.GetPeerId()))
	if at := slices.Index(a.from, who); at >= 0 {
		a.declines[at] = d.GetDecline()
		return
	}
	a.declines, a.from = append(a.declines, d.GetDecline()), append(a.from, who)
}

func (a *answers) bid(b *leasev1.BidReceived) {
	a.bids = slices.DeleteFunc(a.bids, func(old *leasev1.BidReceived) bool { return old.PeerId == b.PeerId })
	a.bids = append(a.bids, b)
}

// refused are the bids that could not win, with the reason.
func (a *answers) refused() (out []*leasev1.BidReceived) {
	for _, b := range a.bids {
		if b.GetRefused() != "" {
			out = append(out, b)
		}
	}
	return out
}

// table says why nobody took the job, and what would help.
func (a *answers) table(w io.Writer, want market.Wants) error {
	t := newTable(w, "WORKERS", "REASON", "WHAT WOULD HELP")
	for _, r := range market.DeclineTable(a.declines, want) {
		t.row(fmt.Sprint(r.Count), r.Detail, r.Remedy)
	}
	for _, b := range a.refused() {
		t.row("1", fmt.Sprintf("bid %s, but %s", credits(b.GetBid().GetPrice()), reason(b)), "loosen what was asked for")
	}
	return t.flush()
}

// reason is why a bid cannot win, without what every such reason begins with.
func reason(b *leasev1.BidReceived) string {
	return strings.ReplaceAll(job.CleanText(b.GetRefused()), market.ErrUnacceptable.Error()+": ", "")
}

// scores prints what every bid counts as, the best first.
func (a *answers) scores(w io.Writer) error {
	bids := slices.Clone(a.bids)
	slices.SortStableFunc(bids, func(x, y *leasev1.BidReceived) int {
		return cmp.Or(cmp.Compare(len(x.Refused), len(y.Refused)), cmp.Compare(x.GetScore().GetTotal(), y.GetScore().GetTotal()))
	})
	t := newTable(w, "WORKER", "COUNTS AS", "PRICE", "START", "IMAGE", "DISTANCE", "REPUTATION", "")
	for _, b := range bids {
		s := b.GetScore()
		rtt := "?"
		if s.GetRttMs() >= 0 {
			rtt = fmt.Sprintf("%dms", s.GetRttMs())
		}
		t.row(shortPeer(job.CleanText(b.PeerId)), credits(s.GetTotal()), credits(s.GetPrice()),
			fmt.Sprintf("+%s (%s)", credits(s.GetStart()), span(time.Duration(b.GetBid().GetStartMs())*time.Millisecond)),
			fmt.Sprintf("%d%%", b.GetBid().GetImagePercent()),
			fmt.Sprintf("+%s (%s)", credits(s.GetDistance()), rtt),
			fmt.Sprintf("+%s (%d%%)", credits(s.GetReputation()), s.GetPercent()), reason(b))
	}
	return t.flush()
}

// bid adds a line to the table of bids.
func (v *view) bid(b *leasev1.BidReceived) {
	if b.GetRefused() != "" {
		return // told at the end, where it matters
	}
	if len(v.answers.bids) == 1 && v.terminal {
		v.sayLocked("%-10s %-28s %-10s %-9s %s", "WORKER", "GPU", "PRICE", "DISTANCE", "START")
	}
	bid := b.GetBid()
	start := span(time.Duration(bid.GetStartMs()) * time.Millisecond)
	gpus := deviceNames(bid.GetDevices())
	worker := shortPeer(job.CleanText(b.GetPeerId()))
	if v.terminal {
		v.sayLocked("%-10s %-28s %-10s %-9s in %s", worker, gpus, credits(bid.GetPrice()), distanceOf(b.GetScore()), start)
		return
	}
	v.sayLocked("bid from %s: %s at %s credits per GPU-hour, starts in %s", worker, gpus, credits(bid.GetPrice()), start)
}

func distanceOf(s *leasev1.Score) string {
	if s == nil || s.RttMs < 0 {
		return "?"
	}
	return fmt.Sprintf("%d ms", s.RttMs)
}

// explained prints the scores, where they were asked for.
func (v *view) explained() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.explain && len(v.answers.bids) > 0 {
		v.clearLocked()
		_ = v.answers.scores(v.w)
		v.explain = false // once
	}
}

// noBid says why nobody took the job: a table on stderr, and the error.
func (v *view) noBid(e *leasev1.JobEnded) error {
	v.explained()
	v.mu.Lock()
	defer v.mu.Unlock()
	a := &v.answers
	if len(a.declines)+len(a.refused()) == 0 {
		return hint(errors.New(sentence(e, "no bid: nobody answered")),
			"rigmesh offers shows who is out there; --wait 10m keeps asking")
	}
	if !v.quiet {
		v.clearLocked()
		_ = a.table(v.w, v.want)
	}
	text, help := a.verdict(v.want, e)
	return hint(errors.New(text), "%s", help)
}

// verdict is one sentence that says why nobody took the job, and one that says what to do.
func (a *answers) verdict(want market.Wants, e *leasev1.JobEnded) (text, help string) {
	help = "keep asking with --wait 10m"
	if len(a.declines) == 0 {
		return sentence(e, "no bid that could be taken"), help
	}
	text = "no bid: " + market.SummarizeDeclines(a.declines, a.from, want)
	if remedy := market.Remedy(a.declines, want); remedy != "" {
		help = remedy + ", or " + help
	}
	return text, help
}
