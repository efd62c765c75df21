package market

import (
	"encoding/binary"
	"math"
	"testing"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestASmallCrowdAllSaysWhy(t *testing.T) {
	for crowd := range nearAnswers + 1 {
		if w, ok := Sampled(&marketv1.Decline{Reason: price}, [32]byte{1}, []byte("w"), crowd); !ok || w != 1 {
			t.Fatalf("in a crowd of %d: %d, %t", crowd, w, ok)
		}
	}
}

// What a requester gets is about as much as it can use, and counts about all.
func TestALargeCrowdSendsFewAnswersThatStandForAll(t *testing.T) {
	for _, c := range []struct {
		reason marketv1.DeclineReason
		want   int
	}{{price, nearAnswers}, {platform, farAnswers}} {
		for _, crowd := range []int{1000, 15_000, 100_000} {
			answers, counted := 0, 0
			for i := range crowd {
				d := &marketv1.Decline{Reason: c.reason}
				if w, ok := Sampled(d, [32]byte{9}, binary.BigEndian.AppendUint64(nil, uint64(i)), crowd); ok {
					d.Weight = w
					answers++
					counted += Weight(d)
				}
			}
			spread := 5 * math.Sqrt(float64(2*c.want))
			if math.Abs(float64(answers-c.want)) > spread {
				t.Errorf("%v: %d answers of %d workers, want about %d", c.reason, answers, crowd, c.want)
			}
			if off := math.Abs(float64(counted-crowd)) / float64(crowd); off > spread/float64(c.want) {
				t.Errorf("%v: %d workers counted of %d", c.reason, counted, crowd)
			}
		}
	}
}

func TestAStampIsTheZeroBitsOfTheHash(t *testing.T) {
	for hash, want := range map[[32]byte]int{{0x80}: 0, {0x01}: 7, {0, 0x40}: 9, {}: 256} {
		if got := StampBits(hash); got != want {
			t.Errorf("%x: %d, want %d", hash[:2], got, want)
		}
	}
}
