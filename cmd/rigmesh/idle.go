package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/job"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// printIdle tells an owner which jobs the worker heard of, and what became of them.
func printIdle(c *cli.Context, k console, w *controlv1.ExplainWorkerResponse) error {
	if !w.Worker {
		return hint(errNoWorker, "rigmesh why JOB explains a job of yours; rigmesh up lends this machine's GPUs")
	}
	if c.Bool("json") {
		return printJSON(k.out, idleView(w))
	}
	fmt.Fprintln(k.out, idle(w, time.Now()))
	if len(w.Heard) == 0 {
		return nil
	}
	t := newTable(k.out, "HEARD", "FROM", "WANTED", "AT MOST", "YOUR BID", "WHAT BECAME OF IT")
	for _, h := range w.Heard {
		bid := ""
		if h.Decline == "" {
			bid = credits(h.BidPrice)
		}
		t.row(ago(h.AtMs), shortPeer(h.PeerId), job.CleanText(h.Wanted), credits(h.MaxPrice), bid, became(h))
	}
	return t.flush()
}

func became(h *controlv1.HeardJob) string {
	switch h.Outcome {
	case controlv1.HeardOutcome_HEARD_OUTCOME_DECLINED:
		return "declined: " + job.CleanText(h.Detail)
	case controlv1.HeardOutcome_HEARD_OUTCOME_WON:
		return "won"
	case controlv1.HeardOutcome_HEARD_OUTCOME_LOST:
		if h.WinningPrice > 0 {
			return "lost to " + credits(h.WinningPrice)
		}
		return "lost"
	}
	return "nothing more was heard"
}

// idle is one sentence about why devices of this machine do nothing, from what was heard
// within the last hour.
func idle(w *controlv1.ExplainWorkerResponse, now time.Time) string {
	switch {
	case w.Devices == 0:
		return "there is no device to lend: rigmesh status and rigmesh doctor say why"
	case w.FreeDevices == 0 && w.Leases == 0 && w.WithheldDevices > 0:
		return "nothing is lent at the moment: rigmesh status says why"
	case w.FreeDevices == 0:
		return "busy: every device that is lent is leased" + withheld(w)
	}
	var parts []string
	if w.Draining {
		parts = append(parts, "this node takes no new work")
	}
	recent := slices.DeleteFunc(slices.Clone(w.Heard), func(h *controlv1.HeardJob) bool {
		return now.Sub(time.UnixMilli(h.AtMs)) > time.Hour
	})
	if len(recent) == 0 {
		parts = append(parts, "no job was heard of in the last hour")
	} else {
		parts = append(parts, fmt.Sprintf("of %s heard in the last hour ", several(uint32(len(recent)), "job"))+strings.Join(tally(recent), ", "))
	}
	return fmt.Sprintf("%s of %d idle because %s%s", several(w.FreeDevices, "device"), w.Devices, strings.Join(parts, "; "), withheld(w))
}

// withheld is the end of a sentence about devices of which the owner lends only some.
func withheld(w *controlv1.ExplainWorkerResponse) string {
	if w.WithheldDevices == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of %d not lent at the moment: rigmesh status says why", w.WithheldDevices, w.Devices)
}

// tally counts what became of jobs, in words.
func tally(heard []*controlv1.HeardJob) []string {
	var order []string
	counts := map[string]int{}
	low := map[string]uint64{} // the price that mattered
	for _, h := range heard {
		key, price := "went unanswered after your bid", uint64(0)
		switch h.Outcome {
		case controlv1.HeardOutcome_HEARD_OUTCOME_WON:
			key = "came here"
		case controlv1.HeardOutcome_HEARD_OUTCOME_LOST:
			key, price = "went to others", h.WinningPrice
		case controlv1.HeardOutcome_HEARD_OUTCOME_DECLINED:
			key = "did not fit (" + h.Decline + ")"
			if h.Decline == "price" {
				key, price = "paid less than you ask", h.MaxPrice
			}
		}
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
		low[key] = max(low[key], price)
	}
	slices.SortStableFunc(order, func(a, b string) int { return counts[b] - counts[a] })
	for i, key := range order {
		text := fmt.Sprintf("%d %s", counts[key], key)
		if p := low[key]; p > 0 {
			text += fmt.Sprintf(" (at most %s)", credits(p))
		}
		order[i] = text
	}
	return order
}

// idleReport is what a worker heard as --json prints it.
type idleReport struct {
	Sentence string      `json:"sentence"`
	Devices  uint32      `json:"devices"`
	Free     uint32      `json:"free_devices"`
	Total    uint64      `json:"heard_since_start"`
	Heard    []heardView `json:"heard"`
}

type heardView struct {
	At       string `json:"at"`
	From     string `json:"requester"`
	Wanted   string `json:"wanted"`
	MaxPrice uint64 `json:"max_price_micro"`
	Bid      uint64 `json:"bid_micro,omitempty"`
	Decline  string `json:"decline,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Outcome  string `json:"outcome"`
	Price    uint64 `json:"winning_price_micro,omitempty"`
}

func idleView(w *controlv1.ExplainWorkerResponse) idleReport {
	r := idleReport{Sentence: idle(w, time.Now()), Devices: w.Devices, Free: w.FreeDevices, Total: w.HeardCount, Heard: []heardView{}}
	for _, h := range w.Heard {
		outcome := strings.ToLower(strings.TrimPrefix(h.Outcome.String(), "HEARD_OUTCOME_"))
		if h.Outcome == controlv1.HeardOutcome_HEARD_OUTCOME_UNSPECIFIED {
			outcome = "unanswered"
		}
		r.Heard = append(r.Heard, heardView{
			At: rfc3339(h.AtMs), From: h.PeerId, Wanted: h.Wanted, MaxPrice: h.MaxPrice, Bid: h.BidPrice,
			Decline: h.Decline, Detail: h.Detail, Outcome: outcome, Price: h.WinningPrice,
		})
	}
	return r
}
