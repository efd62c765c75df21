package discovery

import (
	"cmp"
	"crypto/sha256"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// perKey is about how many peers of one class a key is to hold; see Spread.
	perKey = 512
	// maxBits bounds how finely a class is split: 4,096 keys.
	maxBits = 12
	// maxKeys bounds how many keys of a class one search looks at.
	maxKeys = 16
	// maxAround bounds how many shards one peer speaks to, its own first.
	maxAround = 4
)

// Spread splits a class of providers, such as "vram/24g", over keys by the first bits
// of their hashed ids, so that no key is hot however many there are. Estimates of the
// population differ from node to node. So a provider stands under the key of its own
// depth and under the one above, which holds twice as many, and whoever looks begins at
// its own depth and goes up: prefixes nest, and estimates that differ by half still meet.
type Spread struct {
	bits int
	per  int // wanted in one shard; 0: perKey
}

// Over is an undivided spread of which each shard is to hold about per members.
func Over(per int) Spread { return Spread{per: per} }

// Bits is how many bits of the hashed id divide a class.
func (s Spread) Bits() int { return s.bits }

// Next is the spread for a population of so many nodes, whatever share of them is of
// the class. It changes only when the population left what its depth is for by half, so
// that an estimate which wavers moves nobody.
func (s Spread) Next(population int) Spread {
	per := cmp.Or(s.per, perKey)
	for s.bits < maxBits && population>>s.bits > per*3/2 {
		s.bits++
	}
	for s.bits > 0 && population>>s.bits < per/2 {
		s.bits--
	}
	return s
}

// Keys are where a provider of a class stands.
func (s Spread) Keys(class string, id peer.ID) []string {
	keys := []string{shardKey(class, prefix(id, s.bits))}
	if s.bits > 0 {
		keys = append(keys, shardKey(class, prefix(id, s.bits-1)))
	}
	return keys
}

// Around are the shards of a class that a peer speaks to, one after the other until it is
// heard: those it would stand in itself, and then those beside them, each of which holds
// what two shards at the own depth do. The first two reach those whose estimate of the
// population is half or double.
func (s Spread) Around(class string, id peer.ID) []string {
	keys := s.Keys(class, id)
	own := bucket(id, s.bits-1)
	for n := uint64(1); s.bits > 1 && n < 1<<(s.bits-1) && len(keys) < maxAround; n++ {
		keys = append(keys, shardKey(class, bitsOf(own^n, s.bits-1)))
	}
	return keys
}

// Search are the keys of a class to look at, the likeliest first: the one at the own
// depth that chance names, those above it up to the whole class, and then its
// neighbours. draw gives the chance: every search begins elsewhere.
func (s Spread) Search(class string, draw uint64) []string {
	first := draw % (1 << s.bits)
	keys := []string{shardKey(class, bitsOf(first, s.bits))}
	for up := s.bits - 1; up >= 0 && len(keys) < maxKeys/2; up-- {
		keys = append(keys, shardKey(class, bitsOf(first>>(s.bits-up), up)))
	}
	for n := uint64(1); n < 1<<s.bits && len(keys) < maxKeys; n++ {
		keys = append(keys, shardKey(class, bitsOf(first^n, s.bits)))
	}
	return keys
}

// shardKey names one shard: "vram/24g/0", "vram/24g/3/101".
func shardKey(class, prefix string) string {
	if prefix == "" {
		return class + "/0"
	}
	return fmt.Sprintf("%s/%d/%s", class, len(prefix), prefix)
}

// prefix is the first bits of a peer's hashed id: ids themselves begin alike.
func prefix(id peer.ID, bits int) string {
	return bitsOf(bucket(id, bits), bits)
}

func bucket(id peer.ID, bits int) uint64 {
	sum := sha256.Sum256([]byte(id))
	return (uint64(sum[0])<<8 | uint64(sum[1])) >> (16 - max(0, bits))
}

func bitsOf(v uint64, bits int) string {
	if bits == 0 {
		return ""
	}
	text := fmt.Sprintf("%0*b", bits, v)
	return text[len(text)-bits:]
}
