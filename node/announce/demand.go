package announce

import (
	"math/bits"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/rigmesh/rigmesh/job/market"
)

const (
	// span is over how long announcements are counted.
	span = 10 * time.Second
	// calm is how many of them in that time ask nothing of anybody: what a worker
	// can answer without noticing.
	calm = 300
	// leastBits is the proof of work asked above that: some 20 ms of one core. Each
	// doubling of the flood asks one bit more, which doubles the work.
	leastBits = 14
	// margin is how many bits more than this node asks its own announcements carry:
	// others may see more than it does.
	margin = 2
)

// demand counts announcements, and asks for a proof of work when there are too many:
// a flood under many names costs its author what an honest requester hardly notices.
type demand struct {
	mu      sync.Mutex
	began   time.Time
	now     int // in this span
	calmFor int // spans in a row
	asked   int // bits
}

func (d *demand) count(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(now)
	d.now++
	if over := d.now / calm; over > 0 {
		d.asked = max(d.asked, min(leastBits+bits.Len(uint(over))-1, market.MaxStampBits))
		d.calmFor = 0
	}
}

// bits is the proof of work asked of announcements now. It ends a minute after the
// flood: what came through with it says nothing about what would come without.
func (d *demand) bits(now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(now)
	return d.asked
}

// turn begins a new span when the last one is over. The caller holds mu.
func (d *demand) turn(now time.Time) {
	for now.Sub(d.began) >= span {
		if now.Sub(d.began) >= 10*span {
			d.began, d.now, d.calmFor = now, 0, 6
		} else {
			d.began, d.now = d.began.Add(span), 0
			d.calmFor++
		}
		if d.calmFor >= 6 {
			d.asked = 0
		}
	}
}

// StampBits is the proof of work that an announcement of this node's should carry.
func (b *Board) StampBits() int {
	if asked := b.demand.bits(b.Now()); asked > 0 {
		return min(asked+margin, market.MaxStampBits)
	}
	return 0
}

// limiter is the one kept for a key, or a fresh one.
func limiter[K comparable](kept *lru.Cache[K, *rate.Limiter], key K, r rate.Limit, burst int) *rate.Limiter {
	if l, ok := kept.Get(key); ok {
		return l
	}
	fresh := rate.NewLimiter(r, burst)
	if l, ok, _ := kept.PeekOrAdd(key, fresh); ok {
		return l
	}
	return fresh
}
