package market

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/rigmesh/rigmesh/gpu"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func wants() Wants {
	return Wants{
		MaxPrice:    300_000,
		Requirement: &marketv1.Requirement{Count: 1, VramBytes: 24 * gpu.GiB},
		MaxDuration: time.Hour,
		Now:         now,
	}
}

func bid(price uint64, startMS int64) *marketv1.Bid {
	return &marketv1.Bid{
		Price: price, StartMs: startMS, ExpiresMs: now.Add(time.Minute).UnixMilli(), MaxAbsentGraceMs: hour,
		Devices: []*marketv1.Device{{Model: "rtx-4090", VramBytes: 24564 * gpu.MiB}},
	}
}

func TestAcceptableNamesEveryReason(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Wants, *marketv1.Bid)
		want  []string
	}{
		{"as asked", func(*Wants, *marketv1.Bid) {}, nil},
		{"too dear", func(_ *Wants, b *marketv1.Bid) { b.Price = 300_001 }, []string{"price 0.300001 is above 0.30"}},
		{"expired", func(_ *Wants, b *marketv1.Bid) { b.ExpiresMs = now.UnixMilli() }, []string{"it expired"}},
		{"expired, but nobody looks", func(w *Wants, b *marketv1.Bid) { b.ExpiresMs, w.Now = 1, time.Time{} }, nil},
		{"impatient", func(w *Wants, _ *marketv1.Bid) { w.AbsentGrace = 2 * time.Hour }, []string{"at most 1h0m0s for a silent requester"}},
		{"too few", func(_ *Wants, b *marketv1.Bid) { b.Devices = nil }, []string{"0 devices, not 1"}},
		{"too many", func(_ *Wants, b *marketv1.Bid) { b.Devices = slices.Repeat(b.Devices, 2) }, []string{"2 devices, not 1"}},
		{"too small", func(_ *Wants, b *marketv1.Bid) { b.Devices[0].VramBytes = 12 * gpu.GiB }, []string{"rtx-4090 with 12 GiB does not"}},
		{"another model", func(w *Wants, _ *marketv1.Bid) { w.Requirement.Models = []string{"l4"} }, []string{"rtx-4090 with 24 GiB does not"}},
		{"simulated device", func(_ *Wants, b *marketv1.Bid) { b.Devices[0].Simulated = true }, []string{"simulated rtx-4090"}},
		{"simulated bid", func(_ *Wants, b *marketv1.Bid) { b.Simulated = true }, []string{"simulated rtx-4090"}},
		{"simulated and allowed", func(w *Wants, b *marketv1.Bid) { b.Simulated, w.Requirement.AllowSimulated = true, true }, nil},
		{"in the region", func(w *Wants, b *marketv1.Bid) { w.Regions, b.Region = []string{"us", "eu"}, "eu-west" }, nil},
		{"elsewhere", func(w *Wants, b *marketv1.Bid) { w.Regions, b.Region = []string{"eu"}, "europa" }, []string{"the machine is in europa, not in eu"}},
		{"nowhere", func(w *Wants, _ *marketv1.Bid) { w.Regions = []string{"eu"} }, []string{"a region its owner does not name"}},
		{"too far", func(w *Wants, _ *marketv1.Bid) { w.MaxRTT = 40 * time.Millisecond }, []string{"it is 50ms away, and at most 40ms"}},
		{"not known well enough", func(w *Wants, _ *marketv1.Bid) { w.MinReputation = 60 }, []string{"its reputation here is 50 %"}},
		{"denied", func(w *Wants, _ *marketv1.Bid) { w.Deny = []peer.ID{"w"} }, []string{"deny list"}},
		{"all of it", func(_ *Wants, b *marketv1.Bid) { *b = marketv1.Bid{Price: oneCredit} },
			[]string{"price 1.00 is above", "it expired", "0 devices"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, b := wants(), bid(300_000, 0)
			c.spoil(&w, b)
			err := Acceptable(w, Candidate{Bid: b, RTT: 50 * time.Millisecond, Reputation: Unknown, Worker: "w"})
			if (err != nil) != (len(c.want) > 0) || (err != nil && !errors.Is(err, ErrUnacceptable)) {
				t.Fatalf("got %v", err)
			}
			for _, reason := range c.want {
				if !strings.Contains(err.Error(), reason) {
					t.Errorf("%q does not say %q", err, reason)
				}
			}
		})
	}
}

func TestAmongEqualScoresTheCheapestThenSoonestThenNearestWins(t *testing.T) {
	cs := []Candidate{
		{Bid: bid(400_000, 0), Worker: "too dear"},
		{Bid: bid(250_000, 900), Worker: "slow", RTT: time.Millisecond},
		{Bid: bid(250_000, 500), Worker: "unknown distance"},
		{Bid: bid(250_000, 500), Worker: "far", RTT: 90 * time.Millisecond},
		{Bid: bid(250_000, 500), Worker: "z", RTT: 10 * time.Millisecond},
		{Bid: bid(250_000, 500), Worker: "a", RTT: 10 * time.Millisecond},
		{Bid: bid(300_000, 0), Worker: "dear", RTT: time.Millisecond},
	}
	var got []peer.ID
	for _, i := range Rank(wants(), cs) {
		got = append(got, cs[i].Worker)
	}
	want := []peer.ID{"a", "z", "far", "unknown distance", "slow", "dear"}
	if !slices.Equal(got, want) {
		t.Errorf("ranked %q, want %q", got, want)
	}
}

func TestNothingIsTakenWhenNothingIsAcceptable(t *testing.T) {
	for _, cs := range [][]Candidate{nil, {{Bid: bid(400_000, 0)}}, {{Bid: nil}}} {
		if order := Rank(wants(), cs); len(order) > 0 {
			t.Errorf("ranked %v of %v", order, cs)
		}
	}
}

func TestTheOrderInWhichBidsComeDecidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cs []Candidate
		for range rapid.IntRange(0, 8).Draw(t, "bids") {
			b := bid(rapid.Uint64Range(1, 4).Draw(t, "price")*100_000, rapid.Int64Range(0, 2).Draw(t, "start"))
			cs = append(cs, Candidate{
				Bid:    b,
				RTT:    time.Duration(rapid.IntRange(0, 2).Draw(t, "rtt")),
				Worker: peer.ID(rapid.StringN(8, 8, 8).Draw(t, "peer")),
			})
		}
		mixed := slices.Clone(cs)
		rand.New(rand.NewPCG(1, 9)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		order, reordered := Rank(wants(), cs), Rank(wants(), mixed)
		if len(order) != len(reordered) {
			t.Fatalf("ranked %v of %v and %v of %v", order, cs, reordered, mixed)
		}
		for n := range order {
			if Compare(wants().Prefer, cs[order[n]], mixed[reordered[n]]) != 0 {
				t.Fatalf("ranked %v of %v and %v of %v", order, cs, reordered, mixed)
			}
			if n > 0 && cs[order[n]].Bid.GetPrice() < cs[order[0]].Bid.GetPrice() {
				t.Fatalf("%v is cheaper than the chosen %v", cs[order[n]], cs[order[0]])
			}
		}
	})
}
