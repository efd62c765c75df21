package market

import (
	"slices"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Preference is what else counts beside a bid's price: each is what its unit is
// worth to the requester, in micro-credits per GPU-hour.
type Preference struct {
	StartMinute uint64 // of waiting until the task starts, the image brought there
	RTT         uint64 // of 100 ms of round trip
	Reputation  uint64 // of a worker with a perfect reputation over one with none
}

// DefaultPreference goes by the highest price a requester pays: a minute's wait is
// worth 2 % of it, 100 ms of distance 1 %, a perfect reputation 10 %.
func DefaultPreference(maxPrice uint64) Preference {
	return Preference{StartMinute: maxPrice / 50, RTT: maxPrice / 100, Reputation: maxPrice / 10}
}

// PreferenceOf is the preference of a submission, the default where it has none.
func PreferenceOf(p *leasev1.Preference, maxPrice uint64) Preference {
	if !p.GetSet() {
		return DefaultPreference(maxPrice)
	}
	return Preference{StartMinute: p.StartMinute, RTT: p.Rtt, Reputation: p.Reputation}
}

const (
	// farAway is the round trip of a worker to whom none was measured.
	farAway = 300 * time.Millisecond
	// rttStep: differences of a few milliseconds are noise and decide nothing.
	rttStep = 10 * time.Millisecond
	// maxWeight bounds one weight, so that no score overflows: a billion credits.
	maxWeight = uint64(1e15)
)

// Score is what a bid counts as, part by part, in micro-credits per GPU-hour. The
// lowest total wins.
type Score struct {
	Price      uint64
	Start      uint64
	Distance   uint64
	Reputation uint64
}

// Total is the sum of the parts.
func (s Score) Total() uint64 { return s.Price + s.Start + s.Distance + s.Reputation }

// Rate scores a candidate.
func Rate(p Preference, c Candidate) Score {
	rtt := c.RTT
	if rtt <= 0 {
		rtt = farAway
	}
	wait := uint64(max(0, min(c.Bid.GetStartMs(), int64(24*time.Hour/time.Millisecond))))
	missing := uint64(100 - min(max(0, c.Reputation), 100))
	return Score{
		Price:      c.Bid.GetPrice(),
		Start:      min(p.StartMinute, maxWeight) * (wait / 100) / 600,
		Distance:   min(p.RTT, maxWeight) * uint64(min(rtt, time.Minute)/rttStep) / 10,
		Reputation: min(p.Reputation, maxWeight) * missing / 100,
	}
}

// Message is the score as an event carries it.
func (s Score) Message(c Candidate) *leasev1.Score {
	rtt := int64(-1)
	if c.RTT > 0 {
		rtt = c.RTT.Milliseconds()
	}
	return &leasev1.Score{
		Total: s.Total(), Price: s.Price, Start: s.Start, Distance: s.Distance, Reputation: s.Reputation,
		RttMs: rtt, Percent: uint32(max(0, c.Reputation)),
	}
}

// Promise is the score that an offer leads to expect, with a warm image: what is
// worth waiting for. false: the offer does not fit.
func Promise(w Wants, o *marketv1.Offer, rtt time.Duration, reputation int) (uint64, bool) {
	need, prices := Requirement(w.Requirement), []uint64(nil)
	for _, d := range o.GetDevices() {
		if need.Fits(Device(d)) {
			prices = append(prices, d.GetPrice())
		}
	}
	if need.Count < 1 || len(prices) < need.Count || !InRegion(o.GetRegion(), w.Regions) {
		return 0, false
	}
	slices.Sort(prices)
	bid := &marketv1.Bid{Price: prices[need.Count-1]}
	return Rate(w.Prefer, Candidate{Bid: bid, RTT: rtt, Reputation: reputation}).Total(), true
}

// The bounds of how long a bid waits for better ones once it is there.
const (
	leastPatience = 20 * time.Millisecond
	mostPatience  = 250 * time.Millisecond
)

// Patience is how long the first acceptable bid, which took this long to come, is
// held while somebody who promised a better one has not answered: as long again.
// With nobody to wait for it is taken at once.
func Patience(first time.Duration) time.Duration {
	return min(max(first, leastPatience), mostPatience)
}

// quietTrips are the round trips within which somebody answers who hears of a job at
// second or third hand, and has to dial first.
const quietTrips = 8

// Quiet is how long nobody has said anything, after all who are known declined and the job was
// announced, until nobody is expected to: the others live, for all that is known, no farther
// away than the farthest of those.
func Quiet(farthest time.Duration) time.Duration { return quietTrips * farthest }
