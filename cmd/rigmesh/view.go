package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// view shows how a job gets on, beside its own output: on a terminal with a line that
// changes in place, elsewhere as plain lines, and quiet not at all. Everything goes
// to stderr. It is safe for concurrent use.
type view struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	quiet    bool
	color    bool
	width    int

	want     market.Wants // for the words about declines
	line     string       // the one that changes, as it stands there
	said     string       // the last status that was printed as a plain line
	bids     int
	decliner map[string]int // where in declines each worker's latest is
	declines []*marketv1.Decline
}

func newView(k console, quiet bool) *view {
	return &view{decliner: map[string]int{}, w: k.err, terminal: isTerminal(k.err), color: k.colored(k.err), quiet: quiet, width: terminalWidth(k.err)}
}

// wantsOf is what a job asks of workers, for the words about declines.
func wantsOf(j jobFile) market.Wants {
	s := j.submission(plan{}, j.spec(nil, nil))
	return market.Wants{
		MaxPrice: s.MaxPrice, Requirement: s.Spec.Gpu, Now: time.Now(),
		MaxDuration: time.Duration(s.MaxDurationMs) * time.Millisecond,
	}
}

// say prints a line that stays.
func (v *view) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sayLocked(format, args...)
}

func (v *view) sayLocked(format string, args ...any) {
	if v.quiet {
		return
	}
	v.clearLocked()
	fmt.Fprintf(v.w, "rigmesh: %s\n", fmt.Sprintf(format, args...))
}

// status shows what is being done just now. Where lines cannot change it is not shown.
func (v *view) status(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.statusLocked(text)
}

func (v *view) statusLocked(text string) {
	if v.quiet || !v.terminal || text == v.line {
		return
	}
	v.clearLocked()
	if r := []rune(text); len(r) >= v.width {
		text = string(r[:max(0, v.width-1)])
	}
	v.line = text
	fmt.Fprint(v.w, v.dim(text))
}

func (v *view) dim(text string) string {
	if !v.color {
		return text
	}
	return "\x1b[2m" + text + "\x1b[0m"
}

// clear takes the changing line away, before something else is printed.
func (v *view) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearLocked()
}

func (v *view) clearLocked() {
	if v.line != "" {
		fmt.Fprint(v.w, "\r\x1b[K")
		v.line = ""
	}
}

// sending shows how content gets to the node. A download may take long, so it is named
// where lines cannot change, too.
func (v *view) sending(what string, done, total int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.terminal:
		v.progressLocked(what, done, total)
	case what != handing && v.said != what:
		v.said = what
		v.sayLocked("%s, %s", what, size(uint64(total)))
	}
}

// progressLocked shows a bar of bytes.
func (v *view) progressLocked(what string, done, total int64) {
	if total <= 0 {
		v.statusLocked(what)
		return
	}
	done = min(max(0, done), total)
	const cells = 24
	full := int(float64(done) / float64(total) * cells)
	v.statusLocked(fmt.Sprintf("%s [%s%s] %3d%% of %s", what,
		strings.Repeat("=", full), strings.Repeat(" ", cells-full), int(float64(done)/float64(total)*100), size(uint64(total))))
}

// event shows one thing that happened to the job.
func (v *view) event(e *leasev1.JobEvent) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := e.GetEvent().(type) {
	case *leasev1.JobEvent_Searching:
		v.searching(e.Searching)
	case *leasev1.JobEvent_Bid:
		v.bid(e.Bid)
	case *leasev1.JobEvent_Decline:
		v.decline(e.Decline)
	case *leasev1.JobEvent_Lease:
		t := e.Lease.GetTerms()
		v.sayLocked("leased from %s at %s credits per GPU-hour, lease %s",
			shortPeer(job.CleanText(e.Lease.GetPeerId())), credits(t.GetPrice()), short(e.Lease.GetLeaseId()))
	case *leasev1.JobEvent_Progress:
		v.phase(e.Progress)
	case *leasev1.JobEvent_Trouble:
		v.sayLocked("%s", job.CleanText(e.Trouble.GetSentence()))
	}
}

// decline keeps what a worker said last: it may be asked twice.
func (v *view) decline(d *leasev1.DeclineReceived) {
	if at, again := v.decliner[d.GetPeerId()]; again {
		v.declines[at] = d.GetDecline()
		return
	}
	v.decliner[d.GetPeerId()] = len(v.declines)
	v.declines = append(v.declines, d.GetDecline())
}

func (v *view) searching(s *leasev1.Searching) {
	text := fmt.Sprintf("searching: %s connected, %s so far", several(s.GetPeers(), "peer"), several(s.GetOffers(), "fitting offer"))
	if s.GetAnnounced() {
		text += ", announced to everybody"
	}
	v.statusLocked(text)
}

func several(n uint32, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bid adds a line to the table of bids.
func (v *view) bid(b *leasev1.BidReceived) {
	if v.bids++; v.bids == 1 && v.terminal {
		v.sayLocked("%-10s %-28s %-10s %s", "WORKER", "GPU", "PRICE", "START")
	}
	bid := b.GetBid()
	start := span(time.Duration(bid.GetStartMs()) * time.Millisecond)
	gpus := deviceNames(bid.GetDevices())
	worker := shortPeer(job.CleanText(b.GetPeerId()))
	if v.terminal {
		v.sayLocked("%-10s %-28s %-10s in %s", worker, gpus, credits(bid.GetPrice()), start)
		return
	}
	v.sayLocked("bid from %s: %s at %s credits per GPU-hour, starts in %s", worker, gpus, credits(bid.GetPrice()), start)
}

// phases are what a task does before and after it runs.
var phases = map[leasev1.Phase]string{
	leasev1.Phase_PHASE_WAITING:    "waiting for the first heartbeat",
	leasev1.Phase_PHASE_PULLING:    "bringing image and inputs to the worker",
	leasev1.Phase_PHASE_STARTING:   "starting the task",
	leasev1.Phase_PHASE_RUNNING:    "running",
	leasev1.Phase_PHASE_FROZEN:     "frozen: the lease is unpaid",
	leasev1.Phase_PHASE_COLLECTING: "collecting outputs",
}

func (v *view) phase(p *leasev1.Progress) {
	what, ok := phases[p.GetPhase()]
	switch {
	case !ok:
	case p.GetPhase() == leasev1.Phase_PHASE_RUNNING:
		v.clearLocked()
		if !v.terminal && v.said != what {
			v.sayLocked("%s", what)
		}
		v.said = what
	case v.terminal:
		v.progressLocked(what, int64(p.GetDoneBytes()), int64(p.GetTotalBytes()))
	case v.said != what:
		v.said = what
		v.sayLocked("%s", what)
	}
}

// end prints the job's last line: how it ended and what it cost, as the receipt has it.
func (v *view) end(e *leasev1.JobEnded) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.LeaseId == "" {
		return
	}
	text := "ended"
	if e.Exit != nil {
		text = "exit code " + exitText(e.Exit)
		if why := job.CauseSentence(e.Exit); why != "" && !e.Exit.Oom {
			text += ": " + why
		}
		if why := job.CleanText(e.Exit.Error); why != "" {
			text += ": " + why
		}
	}
	v.sayLocked("%s, %s credited, %s credits; receipt: rigmesh receipt show %s", text, spanMS(e.CreditMs), credits(e.Amount), short(e.LeaseId))
}

// noBid says why nobody took the job: a table on stderr, and the error.
func (v *view) noBid(e *leasev1.JobEnded) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.declines) == 0 {
		return hint(errors.New(sentence(e, "no bid: nobody answered")),
			"rigmesh offers shows who is out there; --wait 10m keeps asking")
	}
	rows := market.DeclineTable(v.declines, v.want)
	if !v.quiet {
		v.clearLocked()
		t := newTable(v.w, "WORKERS", "REASON", "WHAT WOULD HELP")
		for _, r := range rows {
			t.row(fmt.Sprint(r.Count), r.Detail, r.Remedy)
		}
		_ = t.flush()
	}
	err := fmt.Errorf("no bid: %s", market.SummarizeDeclines(v.declines, v.want))
	for _, r := range rows {
		if r.Remedy != "" {
			return hint(err, "%s, or keep asking with --wait 10m", r.Remedy)
		}
	}
	return hint(err, "keep asking with --wait 10m")
}
