package discovery_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/discovery"
)

// estimate is a population as one node sees it: up to a third off.
func estimate(r *rand.Rand, population int) int {
	return int(float64(population) * (0.67 + 0.66*r.Float64()))
}

func TestNoKeyIsHotWhateverTheSizeOfAClass(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, population := range []int{10, 500, 5000, 100_000} {
		held := map[string]int{}
		for i := range population {
			id := peer.ID(binary.BigEndian.AppendUint64(nil, uint64(i)))
			s := discovery.Spread{}.Next(estimate(r, population))
			for _, k := range s.Keys("vram/24g", id) {
				held[k]++
			}
		}
		most := 0
		for _, n := range held {
			most = max(most, n)
		}
		t.Logf("%7d providers: %5d keys, at most %d under one", population, len(held), most)
		if most > 2200 {
			t.Errorf("%d of %d providers stand under one key", most, population)
		}
	}
}

// Whoever looks meets providers at once, though everybody's estimate differs.
func TestASearchMeetsProvidersUnderOneOfItsFirstKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, population := range []int{10, 2000, 100_000} {
		held := map[string]int{}
		for i := range population {
			id := peer.ID(binary.BigEndian.AppendUint64(nil, uint64(i)))
			for _, k := range (discovery.Spread{}).Next(estimate(r, population)).Keys("model/h100", id) {
				held[k]++
			}
		}
		for range 200 {
			keys := (discovery.Spread{}).Next(estimate(r, population)).Search("model/h100", r.Uint64())
			met := 0
			for _, k := range keys[:min(2, len(keys))] {
				met += held[k]
			}
			if met < min(population, 64) {
				t.Fatalf("%d met of %d under %q", met, population, keys)
			}
		}
	}
}

func TestAnEstimateThatWaversMovesNobody(t *testing.T) {
	s := discovery.Spread{}.Next(5000)
	bits := s.Bits()
	for _, wavering := range []int{4200, 5800, 3900, 6000, 5000} {
		if s = s.Next(wavering); s.Bits() != bits {
			t.Errorf("%d nodes moved the depth from %d to %d", wavering, bits, s.Bits())
		}
	}
	if s = s.Next(50); s.Bits() != 0 {
		t.Errorf("of 50 nodes %d bits are left", s.Bits())
	}
}

func TestASearchIsBoundedAndNamesNoKeyTwice(t *testing.T) {
	for _, population := range []int{0, 1, 1000, 10_000_000} {
		keys := discovery.Spread{}.Next(population).Search("vram/8g", 12345)
		sorted := slices.Clone(keys)
		slices.Sort(sorted)
		if len(keys) > 16 || len(slices.Compact(sorted)) != len(keys) {
			t.Errorf("of %d nodes it looks at %q", population, keys)
		}
	}
	if keys := (discovery.Spread{}).Search("vram/8g", 7); !slices.Equal(keys, []string{"vram/8g/0"}) {
		t.Errorf("a small network is searched at %q", keys)
	}
}
