package market

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// ErrUnacceptable is what every reason not to take a bid is.
var ErrUnacceptable = errors.New("bid is not acceptable")

// Wants is what a requester asked for, and when it stops looking.
type Wants struct {
	MaxPrice    uint64 // micro-credits per GPU-hour
	Requirement *marketv1.Requirement
	MaxDuration time.Duration // of the lease
	AbsentGrace time.Duration // the silence the worker must at least sit through; 0: any
	Now         time.Time     // expired bids are refused at this moment; zero: expiry is not looked at

	// A bid is good enough to stop waiting for others when it is acceptable and not above these; zero: any is.
	GoodPrice uint64        // micro-credits per GPU-hour
	GoodStart time.Duration // estimated start
}

// Candidate is one bid, who made it and how far away it is.
type Candidate struct {
	Bid    *marketv1.Bid
	Worker peer.ID
	RTT    time.Duration // 0: not known
}

// Acceptable says why a bid does not give what was asked, all reasons at once; nil when it does. ErrUnacceptable.
func Acceptable(w Wants, b *marketv1.Bid) error {
	var reasons []error
	refuse := func(format string, args ...any) {
		reasons = append(reasons, fmt.Errorf("%w: "+format, append([]any{ErrUnacceptable}, args...)...))
	}
	if b.GetPrice() > w.MaxPrice {
		refuse("price %s is above %s", job.FormatPrice(b.GetPrice()), job.FormatPrice(w.MaxPrice))
	}
	if !w.Now.IsZero() && b.GetExpiresMs() <= w.Now.UnixMilli() {
		refuse("it expired")
	}
	if b.GetMaxAbsentGraceMs() < w.AbsentGrace.Milliseconds() {
		refuse("the worker waits at most %s for a silent requester, not %s",
			time.Duration(b.GetMaxAbsentGraceMs())*time.Millisecond, w.AbsentGrace)
	}
	need := Requirement(w.Requirement)
	if len(b.GetDevices()) != need.Count {
		refuse("%d devices, not %d", len(b.GetDevices()), need.Count)
	}
	for _, d := range b.GetDevices() {
		if !need.Fits(device(d, b.GetSimulated())) {
			refuse("%s does not meet the requirement", described(d, b.GetSimulated()))
		}
	}
	if need.NVLink && need.Count > 1 && !linked(b.GetDevices()) {
		refuse("the devices are not linked by NVLink")
	}
	return errors.Join(reasons...)
}

func device(d *marketv1.Device, simulated bool) gpu.Device {
	out := Device(d)
	out.Simulated = simulated || d.GetSimulated()
	return out
}

// linked says whether a bid's devices are one island, as far as the worker says.
func linked(devices []*marketv1.Device) bool {
	for _, d := range devices {
		if d.GetIsland() == 0 || d.GetIsland() != devices[0].GetIsland() {
			return false
		}
	}
	return true
}

func described(d *marketv1.Device, simulated bool) string {
	s := fmt.Sprintf("%s with %s", job.CleanText(d.GetModel()), gpu.FormatVRAM(d.GetVramBytes()))
	if device(d, simulated).Simulated {
		return "simulated " + s
	}
	return s
}

// GoodEnough says whether to stop waiting for further bids.
func GoodEnough(w Wants, c Candidate) bool {
	if Acceptable(w, c.Bid) != nil {
		return false
	}
	start := time.Duration(c.Bid.GetStartMs()) * time.Millisecond
	return (w.GoodPrice == 0 || c.Bid.GetPrice() <= w.GoodPrice) && (w.GoodStart == 0 || start <= w.GoodStart)
}

// Choose picks the acceptable bid that wins: the cheapest, then the one that
// starts first, then the nearest, then the lowest peer id, so that the order in
// which bids came decides nothing. It gives the index in cs, and false when no bid is acceptable.
func Choose(w Wants, cs []Candidate) (int, bool) {
	best := -1
	for i, c := range cs {
		if Acceptable(w, c.Bid) == nil && (best < 0 || Compare(c, cs[best]) < 0) {
			best = i
		}
	}
	return best, best >= 0
}

// Rank lists the indexes of all acceptable bids, the winner first: whom to ask next when the winner refuses.
func Rank(w Wants, cs []Candidate) []int {
	var order []int
	for i, c := range cs {
		if Acceptable(w, c.Bid) == nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return Compare(cs[a], cs[b]) })
	return order
}

// Compare orders candidates, the better first. A distance that is not known is longer than any that is.
func Compare(a, b Candidate) int {
	return cmp.Or(
		cmp.Compare(a.Bid.GetPrice(), b.Bid.GetPrice()),
		cmp.Compare(a.Bid.GetStartMs(), b.Bid.GetStartMs()),
		cmp.Compare(uint64(a.RTT-1), uint64(b.RTT-1)),
		cmp.Compare(a.Worker, b.Worker),
	)
}
