package market

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// DeclineRow is all declines of one reason, for people and for scripts.
type DeclineRow struct {
	Reason string `json:"reason"` // one word: "price", "vram", …
	Count  int    `json:"count"`  // workers
	Detail string `json:"detail"` // "price floor 0.35 > your 0.30"
	Remedy string `json:"remedy"` // what the requester could do; may be empty
}

// DeclineTable groups declines by reason, the most frequent first.
func DeclineTable(declines []*marketv1.Decline, w Wants) []DeclineRow {
	groups := make(map[marketv1.DeclineReason][]*marketv1.Decline)
	for _, d := range declines {
		r := known(d.GetReason())
		groups[r] = append(groups[r], d)
	}
	reasons := make([]marketv1.DeclineReason, 0, len(groups))
	for r := range groups {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b marketv1.DeclineReason) int {
		return cmp.Or(cmp.Compare(workersIn(groups[b]), workersIn(groups[a])), cmp.Compare(a, b))
	})
	rows := make([]DeclineRow, 0, len(reasons))
	for _, r := range reasons {
		detail, remedy := explain(r, groups[r], w)
		if inTheirWords[r] {
			detail += theirWords(groups[r])
		}
		rows = append(rows, DeclineRow{Reason: Word(r), Count: workersIn(groups[r]), Detail: detail, Remedy: remedy})
	}
	return rows
}

// SummarizeDeclines is one sentence that says why nobody bid, and the nearest
// terms at which somebody would have: "7 workers declined: 4 price floor 0.35 >
// your 0.30, 2 VRAM 12 GiB < 24 GiB, 1 busy until 14:20; nearest match: 0.35
// credits per GPU-hour from 4tQ9Ws". from names the worker of each decline; nil when they
// have no names. It is empty when nobody declined.
func SummarizeDeclines(declines []*marketv1.Decline, from []string, w Wants) string {
	if len(declines) == 0 {
		return ""
	}
	var parts []string
	for _, row := range DeclineTable(declines, w) {
		parts = append(parts, fmt.Sprintf("%d %s", row.Count, row.Detail))
	}
	s := fmt.Sprintf("%s declined: %s", workers(declines), strings.Join(parts, ", "))
	if i, near := NearestTerms(declines, w); near != "" {
		s += "; nearest match: " + near
		if from != nil {
			s += " from " + from[i]
		}
	}
	return s
}

// workersIn counts the workers that declines stand for.
func workersIn(declines []*marketv1.Decline) int {
	n := 0
	for _, d := range declines {
		n += Weight(d)
	}
	return n
}

// workers says how many declined: about, where some stand for others.
func workers(declines []*marketv1.Decline) string {
	switch n := workersIn(declines); {
	case n == 1:
		return "1 worker"
	case n > len(declines):
		return fmt.Sprintf("about %d workers", n)
	default:
		return fmt.Sprintf("%d workers", n)
	}
}

// known maps the reasons of later versions to one that can be explained.
func known(r marketv1.DeclineReason) marketv1.DeclineReason {
	if _, ok := marketv1.DeclineReason_name[int32(r)]; !ok {
		return marketv1.DeclineReason_DECLINE_REASON_UNSPECIFIED
	}
	return r
}

// Word is a reason as scripts see it: "price", "vram", "busy"; "other" when it has none.
func Word(r marketv1.DeclineReason) string {
	if known(r) == marketv1.DeclineReason_DECLINE_REASON_UNSPECIFIED {
		return "other"
	}
	return strings.ToLower(strings.TrimPrefix(r.String(), "DECLINE_REASON_"))
}

// explain words one group of declines.
func explain(r marketv1.DeclineReason, ds []*marketv1.Decline, w Wants) (detail, remedy string) {
	switch r {
	case marketv1.DeclineReason_DECLINE_REASON_PRICE:
		return explainPrice(ds, w)
	case marketv1.DeclineReason_DECLINE_REASON_COUNT:
		most := most(ds, func(d *marketv1.Decline) uint64 { return uint64(d.GetCount()) })
		return fmt.Sprintf("GPU count %d < %d", most, w.Requirement.GetCount()), "ask for fewer GPUs"
	case marketv1.DeclineReason_DECLINE_REASON_VRAM:
		most := most(ds, (*marketv1.Decline).GetVramBytes)
		return fmt.Sprintf("VRAM %s < %s", gpu.FormatVRAM(most), gpu.FormatVRAM(w.Requirement.GetVramBytes())),
			"ask for less VRAM per GPU"
	case marketv1.DeclineReason_DECLINE_REASON_CAPABILITY:
		return "compute capability below " + w.Requirement.GetCapability(), "ask for a lower compute capability"
	case marketv1.DeclineReason_DECLINE_REASON_MIG:
		return "no " + sliced(w.Requirement.GetMig()), "ask for whole GPUs, or for slices of another profile"
	case marketv1.DeclineReason_DECLINE_REASON_NVLINK:
		return fmt.Sprintf("fewer than %d GPUs linked by NVLink", w.Requirement.GetCount()), "ask for fewer GPUs, or do without NVLink"
	case marketv1.DeclineReason_DECLINE_REASON_POLICY:
		return explainPolicy(ds, w)
	case marketv1.DeclineReason_DECLINE_REASON_MODEL:
		return "no " + strings.Join(w.Requirement.GetModels(), " or "), "allow other models"
	case marketv1.DeclineReason_DECLINE_REASON_BUSY:
		return explainBusy(ds, w)
	case marketv1.DeclineReason_DECLINE_REASON_REGION:
		return "not in " + strings.Join(w.Regions, " or "), "allow other regions"
	case marketv1.DeclineReason_DECLINE_REASON_STAMP:
		return "asked for a proof of work", "ask again with --wait: the announcement then carries one"
	case marketv1.DeclineReason_DECLINE_REASON_LIMIT:
		return cmp.Or(said(ds), "at the limit for a requester it does not know"), "wait for your other lease there to end"
	case marketv1.DeclineReason_DECLINE_REASON_IMAGE:
		return explainImage(ds), "use an image that owners take, or a smaller one"
	case marketv1.DeclineReason_DECLINE_REASON_DURATION:
		return explainDuration(ds, w)
	}
	if p, ok := phrases[r]; ok {
		return p.detail, p.remedy
	}
	return cmp.Or(said(ds), "gave no reason"), ""
}

func explainDuration(ds []*marketv1.Decline, w Wants) (detail, remedy string) {
	most := most(ds, func(d *marketv1.Decline) uint64 { return uint64(max(0, d.GetDurationMs())) })
	if limit := uint64(w.MaxDuration.Milliseconds()); most > limit {
		return fmt.Sprintf("leases of at least %s > %s", duration(int64(most)), duration(int64(limit))),
			"ask for a longer lease: a longer --timeout"
	}
	return fmt.Sprintf("leases of at most %s < %s", duration(int64(most)), duration(w.MaxDuration.Milliseconds())),
		"ask for a shorter lease"
}

// phrases explain the reasons that have no number in them.
var phrases = map[marketv1.DeclineReason]struct{ detail, remedy string }{
	marketv1.DeclineReason_DECLINE_REASON_SIMULATED: {"only simulated GPUs", "allow them with --simulated, to try things out"},
	marketv1.DeclineReason_DECLINE_REASON_MACHINE:   {"too little CPU, memory or disk", "ask for less CPU, memory or disk"},
	marketv1.DeclineReason_DECLINE_REASON_FULL:      {"no room on the worker's disk", "wait, ask for less disk, or ask other workers"},
	marketv1.DeclineReason_DECLINE_REASON_PLATFORM:  {"another platform", "use an image of another platform"},
	marketv1.DeclineReason_DECLINE_REASON_DRAINING:  {"taking no new work", "wait, or ask other workers"},
	marketv1.DeclineReason_DECLINE_REASON_DRIVER:    {"a driver that is too old", "ask for an older driver or CUDA"},
	marketv1.DeclineReason_DECLINE_REASON_GONE:      {"awarded to somebody else meanwhile", "try again"},
	marketv1.DeclineReason_DECLINE_REASON_EXPIRED:   {"found the announcement expired, or not valid yet", "check this machine's clock; where others take the job, it is theirs"},
	marketv1.DeclineReason_DECLINE_REASON_INVALID:   {"found the announcement invalid", "check that both run the same version and network"},
	marketv1.DeclineReason_DECLINE_REASON_STANDING:  {"awarded by this node before, which then never came", "they forget within hours"},
	marketv1.DeclineReason_DECLINE_REASON_UNREACHABLE: {
		"not reachable without a relay", "open a port, or ask workers that are reachable directly"},
}

func explainPrice(ds []*marketv1.Decline, w Wants) (detail, remedy string) {
	low, high := uint64(0), uint64(0)
	for _, d := range ds {
		if p := d.GetPrice(); p > 0 {
			low, high = min(cmp.Or(low, p), p), max(high, p)
		}
	}
	yours := job.FormatPrice(w.MaxPrice)
	switch {
	case low == 0:
		return "price floor > your " + yours, "offer a higher price"
	case low == high:
		detail = fmt.Sprintf("price floor %s > your %s", job.FormatPrice(low), yours)
	default:
		detail = fmt.Sprintf("price floors %s to %s > your %s", job.FormatPrice(low), job.FormatPrice(high), yours)
	}
	return detail, fmt.Sprintf("offer at least %s", job.FormatPrice(low))
}

func explainBusy(ds []*marketv1.Decline, w Wants) (detail, remedy string) {
	at := freeAt(ds)
	if at.IsZero() {
		return "busy", "wait, or ask other workers"
	}
	s := clock(at, w)
	return "busy until " + s, "wait until " + s
}

// explainPolicy says when owners lend again, as far as they say.
func explainPolicy(ds []*marketv1.Decline, w Wants) (detail, remedy string) {
	at := freeAt(ds)
	if at.IsZero() {
		return cmp.Or(said(ds), "against the owner's rules"), "ask other workers"
	}
	s := clock(at, w)
	return "not lent by the owner until " + s, "wait until " + s
}

// sliced names a MIG profile, or what is asked for without one.
func sliced(profile string) string {
	if profile == "" {
		return "whole GPU"
	}
	return profile + " slice"
}

// freeAt is the earliest moment named; zero when none is.
func freeAt(ds []*marketv1.Decline) time.Time {
	var first int64
	for _, d := range ds {
		if ms := d.GetFreeAtMs(); ms > 0 {
			first = min(cmp.Or(first, ms), ms)
		}
	}
	if first == 0 {
		return time.Time{}
	}
	return time.UnixMilli(first)
}

// clock writes a moment in the requester's time zone, with the day when it is another.
func clock(at time.Time, w Wants) string {
	at = at.In(w.Now.Location())
	if at.Format(time.DateOnly) == w.Now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2 Jan 15:04")
}

// duration writes ms without the zeroes of time.Duration: "2h", "90m", "45s".
func duration(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func most(ds []*marketv1.Decline, field func(*marketv1.Decline) uint64) uint64 {
	var m uint64
	for _, d := range ds {
		m = max(m, field(d))
	}
	return m
}
