package market

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestAScoreAddsWhatEachPartIsWorthToTheRequester(t *testing.T) {
	p := Preference{StartMinute: 6_000, RTT: 10_000, Reputation: 30_000}
	for _, c := range []struct {
		name string
		c    Candidate
		want Score
	}{
		{"at once, near, perfect", Candidate{Bid: bid(250_000, 0), RTT: time.Millisecond, Reputation: 100}, Score{Price: 250_000}},
		{"two minutes of image", Candidate{Bid: bid(250_000, 120_000), RTT: time.Millisecond, Reputation: 100}, Score{Price: 250_000, Start: 12_000}},
		{"far", Candidate{Bid: bid(250_000, 0), RTT: 250 * time.Millisecond, Reputation: 100}, Score{Price: 250_000, Distance: 25_000}},
		{"a distance nobody measured", Candidate{Bid: bid(250_000, 0), Reputation: 100}, Score{Price: 250_000, Distance: 30_000}},
		{"a stranger", Candidate{Bid: bid(250_000, 0), RTT: 1, Reputation: Unknown}, Score{Price: 250_000, Reputation: 15_000}},
		{"nonsense", Candidate{Bid: bid(1, -5), RTT: -1, Reputation: -7}, Score{Price: 1, Distance: 30_000, Reputation: 30_000}},
	} {
		if got := Rate(p, c.c); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	huge := Preference{^uint64(0), ^uint64(0), ^uint64(0)}
	far := Candidate{Bid: bid(1e12, 1<<62), RTT: time.Hour}
	if s := Rate(huge, far); s.Total() < s.Start || s.Total() < s.Distance {
		t.Errorf("the largest score overflows: %+v", s)
	}
}

func TestADearerBidWinsWhenItsStartOrReputationIsWorthMore(t *testing.T) {
	w := wants()
	w.Prefer = DefaultPreference(w.MaxPrice)
	slow := Candidate{Bid: bid(250_000, 10*60_000), Worker: "slow", RTT: 1, Reputation: Unknown}
	warm := Candidate{Bid: bid(270_000, 500), Worker: "warm", RTT: 1, Reputation: Unknown}
	proven := Candidate{Bid: bid(280_000, 500), Worker: "proven", RTT: 1, Reputation: 100}
	let := Candidate{Bid: bid(270_000, 500), Worker: "let down", RTT: 1, Reputation: 10}
	var got []peer.ID
	all := []Candidate{slow, let, proven, warm}
	for _, i := range Rank(w, all) {
		got = append(got, all[i].Worker)
	}
	if got[0] != "proven" || got[1] != "warm" || got[2] != "let down" || got[3] != "slow" {
		t.Errorf("ranked %q", got)
	}
}

func TestAPromiseIsThePriceOfAsManyDevicesAsAreWanted(t *testing.T) {
	w := wants()
	device := bid(0, 0).Devices[0]
	offer := &marketv1.Offer{Region: "eu", Devices: []*marketv1.Device{
		{Model: device.Model, VramBytes: device.VramBytes, Price: 300}, {Model: device.Model, VramBytes: device.VramBytes, Price: 100},
		{Model: "small", VramBytes: 1, Price: 1},
	}}
	if got, ok := Promise(w, offer, 1, 100); !ok || got != 100 {
		t.Errorf("promises %d, %t", got, ok)
	}
	w.Requirement.Count = 2
	if got, ok := Promise(w, offer, 1, 100); !ok || got != 300 {
		t.Errorf("promises %d, %t for two", got, ok)
	}
	w.Requirement.Count = 3
	if _, ok := Promise(w, offer, 1, 100); ok {
		t.Error("an offer of two promises three")
	}
	w.Requirement.Count, w.Regions = 1, []string{"us"}
	if _, ok := Promise(w, offer, 1, 100); ok {
		t.Error("an offer from elsewhere promises anything")
	}
}

func TestPatienceIsAsLongAgainAsTheFirstBidTook(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{0: leastPatience, 60 * time.Millisecond: 60 * time.Millisecond, time.Minute: mostPatience} {
		if got := Patience(took); got != want {
			t.Errorf("%s after %s", got, took)
		}
	}
}
