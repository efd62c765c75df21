package market

import (
	"encoding/binary"

	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// How many declines of each kind one announcement is to bring back, about. A
// requester needs the near misses to know what to change, and of the others only
// how many there are.
const (
	nearAnswers = 48
	farAnswers  = 12
	// MaxWeight bounds how many workers one decline may stand for.
	MaxWeight = 1 << 20
)

// Sampled decides whether a worker that heard an announcement on gossip brings its
// decline: all do in a small crowd, and in a large one about as many as a requester
// can use. weight is how many workers one answer stands for. It goes by the
// announcement and the worker's key, so that asking again with the same
// announcement brings the same answers.
func Sampled(d *marketv1.Decline, hash [32]byte, worker []byte, crowd int) (weight uint32, answer bool) {
	want := farAnswers
	if negotiable(d.GetReason()) {
		want = nearAnswers
	}
	if crowd <= want {
		return 1, true
	}
	weight = uint32(min(crowd/want, MaxWeight))
	if weight == 1 {
		return 1, true
	}
	draw := statement.H("sample", hash[:], worker)
	return weight, binary.BigEndian.Uint64(draw[:])%uint64(weight) == 0
}

// Weight is how many workers a decline stands for: at least one.
func Weight(d *marketv1.Decline) int {
	return int(min(max(1, d.GetWeight()), MaxWeight))
}
