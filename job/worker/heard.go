package worker

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// maxHeard bounds how many of the jobs that a worker was asked about it remembers.
const maxHeard = 256

// Heard is one job that this worker was asked about, and what became of it.
type Heard struct {
	At       time.Time
	From     peer.ID
	Wanted   string            // for people
	MaxPrice uint64            // micro-credits per GPU-hour
	Bid      uint64            // likewise; when Decline is nil
	Decline  *marketv1.Decline // nil when it bid
	Won      bool
	Lost     bool
	Price    uint64 // that won over this worker's bid; 0: not said

	devices []gpu.Device // that were bid
}

// heard remembers the newest jobs, the oldest first.
type heard struct {
	mu    sync.Mutex
	jobs  []*Heard
	by    map[[32]byte]*Heard // by announcement
	total uint64
}

// note takes in one job. Hearing of it again, by another way, changes nothing.
func (h *heard) note(now time.Time, ann Announcement, willing market.Willing, d *marketv1.Decline) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by[ann.Hash()] != nil {
		return
	}
	m := ann.Message()
	j := &Heard{At: now, From: peerOf(ann.Signer()), Wanted: market.Wanted(m.GetGpu(), m.GetResources(), m.GetRegions()),
		MaxPrice: m.GetMaxPrice(), Bid: willing.Price, Decline: d, devices: willing.Devices}
	if h.by == nil || len(h.jobs) >= maxHeard {
		h.shrink()
	}
	h.jobs, h.by[ann.Hash()] = append(h.jobs, j), j
	h.total++
}

// shrink forgets the older half. The caller holds mu.
func (h *heard) shrink() {
	h.jobs = slices.Clone(h.jobs[len(h.jobs)/2:])
	kept := map[[32]byte]*Heard{}
	for hash, j := range h.by {
		if slices.Contains(h.jobs, j) {
			kept[hash] = j
		}
	}
	h.by = kept
}

// end notes what became of a job that was bid for, unless that is known, and gives
// the devices of the bid.
func (h *heard) end(hash [32]byte, won bool, price uint64) []gpu.Device {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.by[hash]
	if j == nil || j.Decline != nil || j.Won || j.Lost {
		return nil
	}
	j.Won, j.Lost, j.Price = won, !won, price
	return j.devices
}

// author is the requester of a job heard of.
func (h *heard) author(hash [32]byte) peer.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.by[hash]; j != nil {
		return j.From
	}
	return ""
}

// Heard lists the jobs this worker was asked about, newest first, and how many there
// were since it started.
func (w *Worker) Heard() (jobs []Heard, total uint64) {
	w.heard.mu.Lock()
	defer w.heard.mu.Unlock()
	for _, j := range slices.Backward(w.heard.jobs) {
		jobs = append(jobs, *j)
	}
	return jobs, w.heard.total
}

// LetGo takes a requester's word that a job went to another, from whom that word
// came does not matter.
func (w *Worker) LetGo(withdrawal statement.Verified[*marketv1.Withdrawal]) error {
	m := withdrawal.Message()
	if err := job.CheckWithdrawal(m); err != nil {
		return err
	}
	if m.GetNetwork() != w.Network {
		return fmt.Errorf("withdrawal is for network %q", m.GetNetwork())
	}
	hash := [32]byte(m.GetAnnouncementHash())
	if w.heard.author(hash) == peerOf(withdrawal.Signer()) {
		w.lost(hash, m.GetPrice())
	}
	return nil
}

// lost frees the devices of a bid for other auctions.
func (w *Worker) lost(hash [32]byte, price uint64) {
	devices := w.heard.end(hash, false, price)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range devices {
		delete(w.bidAt, d.UUID)
	}
}
