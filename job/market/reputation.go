package market

import "time"

// Record is what this node went through with one peer: the leases whose receipts
// it holds, and what became of awards that no lease came of. It is this node's own
// experience, told to nobody.
type Record struct {
	Good    int       // leases that ended as agreed
	Bad     int       // leases the peer let down: it went silent, gave the machine back, or signed twice
	Strikes int       // awards it did not stand by: a bid that was no bid, an award that never came to life
	Last    time.Time // of the newest strike
}

// Unknown is the reputation, in percent, of a peer about whom nothing is known.
const Unknown = 50

// Reputation is a record in percent: half for a stranger, towards 100 with every
// lease that went well, towards 0 with every one that did not.
func (r Record) Reputation() int {
	return 100 * (r.Good + 1) / (r.Good + r.Bad + r.Strikes + 2)
}

const (
	// strikeFades is how long it takes for one strike to be forgiven.
	strikeFades = 6 * time.Hour
	// tooManyStrikes is when a peer is not dealt with any more, until some fade.
	tooManyStrikes = 3
)

// Fade forgives the strikes whose time is over.
func (r Record) Fade(now time.Time) Record {
	if r.Strikes == 0 || r.Last.IsZero() {
		return r
	}
	forgiven := int(max(0, now.Sub(r.Last)) / strikeFades)
	r.Strikes = max(0, r.Strikes-forgiven)
	r.Last = r.Last.Add(time.Duration(forgiven) * strikeFades)
	return r
}

// Strike adds one strike.
func (r Record) Strike(now time.Time) Record {
	r = r.Fade(now)
	r.Strikes, r.Last = r.Strikes+1, now
	return r
}

// Shunned says whether to have no dealings with this peer for now.
func (r Record) Shunned(now time.Time) bool { return r.Fade(now).Strikes >= tooManyStrikes }
