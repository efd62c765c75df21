package main

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/node/announce"
	"github.com/rigmesh/rigmesh/p2p/discovery"
)

// place is how a population of one class is split.
type place struct {
	topics  int // that anybody is told in first
	members int // of the topic that a requester speaks to first: the median
	heard   int // requesters whose announcements one member hears first-hand: the most of any
	hottest int // providers under the fullest key of the hash table
}

// split has every node of a population work out where it stands, each by an estimate of
// its own that is up to a third off.
func split(dice *rand.Rand, population int) place {
	const class, tier = "vram/24g", "jobs/24g"
	members, told, keys := map[string]int{}, map[string]int{}, map[string]int{}
	ids := make([]peer.ID, population)
	stands := make([][]string, population)
	for i := range ids {
		ids[i] = peer.ID(binary.BigEndian.AppendUint64(nil, dice.Uint64()))
		estimate := int(float64(population) * (0.67 + 0.66*dice.Float64()))
		s := discovery.Over(announce.PerTopic).Next(estimate)
		stands[i] = s.Keys(tier, ids[i])
		for _, topic := range stands[i] {
			members[topic]++
		}
		told[stands[i][0]]++
		for _, key := range (discovery.Spread{}).Next(estimate).Keys(class, ids[i]) {
			keys[key]++
		}
	}
	p := place{topics: len(told), members: members[stands[dice.IntN(population)][0]]}
	for _, n := range keys {
		p.hottest = max(p.hottest, n)
	}
	for _, topics := range stands {
		heard := 0
		for _, topic := range topics {
			heard += told[topic]
		}
		p.heard = max(p.heard, heard)
	}
	return p
}
