package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/requester"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
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

	want    market.Wants // for the words about declines
	line    string       // the one that changes, as it stands there
	layer   string       // of the image, that was named last
	said    string       // the last status that was printed as a plain line
	answers answers
	explain bool // print what bids count as

	delivered bool // the job's end was seen, and all that was wanted of it is here
}

func newView(k console, quiet bool) *view {
	return &view{w: k.err, terminal: isTerminal(k.err), color: k.colored(k.err), quiet: quiet, width: terminalWidth(k.err)}
}

// wantsOf is what a job asks of workers, for the words about declines.
func wantsOf(sub *leasev1.Submission) market.Wants {
	w := requester.Wants(sub)
	w.Now = time.Now()
	return w
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
		v.answers.bid(e.Bid)
		v.bid(e.Bid)
	case *leasev1.JobEvent_Decline:
		v.answers.decline(e.Decline)
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

// phases are what a task does before and after it runs.
var phases = map[leasev1.Phase]string{
	leasev1.Phase_PHASE_WAITING:    "waiting for the first heartbeat",
	leasev1.Phase_PHASE_PULLING:    "bringing image and inputs to the worker",
	leasev1.Phase_PHASE_STARTING:   "starting the task",
	leasev1.Phase_PHASE_RUNNING:    "running",
	leasev1.Phase_PHASE_FROZEN:     "frozen",
	leasev1.Phase_PHASE_COLLECTING: "collecting outputs",
}

func (v *view) phase(p *leasev1.Progress) {
	what, ok := phases[p.GetPhase()]
	if l := p.GetLayer(); l != nil && p.GetPhase() == leasev1.Phase_PHASE_PULLING {
		v.layerLocked(p, l)
		return
	}
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

// layerLocked shows how far an image and one layer of it are: as bars where lines can change, and
// elsewhere by a line for each layer.
func (v *view) layerLocked(p *leasev1.Progress, l *leasev1.Layer) {
	if v.terminal {
		v.progressLocked(layerText(l)+", image", int64(p.GetDoneBytes()), int64(p.GetTotalBytes()))
		return
	}
	if key := l.Digest + l.Origin.String(); v.layer != key {
		v.layer = key
		v.sayLocked("%s", layerName(l))
	}
}

// layerName says which layer comes from where.
func layerName(l *leasev1.Layer) string {
	text := fmt.Sprintf("layer %s, %s", short(strings.TrimPrefix(l.GetDigest(), "sha256:")), size(l.GetTotalBytes()))
	if from := origins[l.GetOrigin()]; from != "" {
		text += ", from " + from
	}
	return text
}

// layerText is layerName with how much of it is there.
func layerText(l *leasev1.Layer) string {
	return fmt.Sprintf("%s: %d%%", layerName(l), int(100*float64(l.GetDoneBytes())/float64(max(1, l.GetTotalBytes()))))
}

// origins are where layers come from.
var origins = map[leasev1.Origin]string{
	leasev1.Origin_ORIGIN_REQUESTER: "you",
	leasev1.Origin_ORIGIN_REGISTRY:  "its registry",
	leasev1.Origin_ORIGIN_PEERS:     "other workers",
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
