package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/receipt"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// maxStruck bounds how many peers' strikes are remembered.
const maxStruck = 4096

// standing is what this node went through with its peers: from the receipts it holds,
// and from awards that nobody stood by. It is nobody else's business, and goes nowhere.
type standing struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	counted map[side]uint64           // receipts, and the micro-credits that each came to
	earned  uint64                    // what those of this node as a worker add up to, micro-credits
	served  map[peer.ID]market.Record // good and bad leases
	struck  map[peer.ID]market.Record // strikes alone: what the file holds
}

// side is one side of a lease.
type side struct {
	lease  job.LeaseID
	worker bool
}

// openStanding reads the strikes of before and counts the receipts there are.
func openStanding(path string, receipts *receipts, now func() time.Time, log *slog.Logger) *standing {
	s := &standing{
		path: path, now: now, log: log, counted: map[side]uint64{},
		served: map[peer.ID]market.Record{}, struck: map[peer.ID]market.Record{},
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &s.struck)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("what peers did before is not known: its file cannot be read", "err", err)
	}
	if s.struck == nil {
		s.struck = map[peer.ID]market.Record{}
	}
	err = receipts.each(func(k kept) { s.count(k.role, k.summary) })
	if err != nil {
		log.Debug("receipts that cannot be read count for nothing", "err", err)
	}
	return s
}

// count takes in one lease.
func (s *standing) count(role string, sum receipt.Summary) {
	other := sum.Worker
	if role == "worker" {
		other = sum.Requester
	}
	id, err := peer.Decode(other)
	lease, err2 := job.ParseLeaseID(sum.LeaseID)
	if errors.Join(err, err2) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := side{lease, role == "worker"}
	before, again := s.counted[key]
	s.counted[key] = sum.Amount
	if key.worker {
		s.earned += sum.Amount - before
	}
	if again || sum.SelfDealt {
		return // a node's word on itself is worth nothing
	}
	r := s.served[id]
	if sum.Level == receipt.LevelLastAck {
		r.Bad++ // somebody went silent, and it was not this side
	} else {
		r.Good++
	}
	s.served[id] = r
}

// Earned is what this node's receipts as a worker add up to, micro-credits.
func (s *standing) Earned() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.earned
}

// Record is everything this node went through with a peer.
func (s *standing) Record(id peer.ID) market.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, struck := s.served[id], s.struck[id].Fade(s.now())
	r.Strikes, r.Last = struck.Strikes, struck.Last
	return r
}

// Strike notes, durably, that a peer did not stand by its word.
func (s *standing) Strike(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for other, r := range s.struck {
		if r.Fade(now).Strikes == 0 || len(s.struck) >= maxStruck && other != id {
			delete(s.struck, other)
		}
	}
	s.struck[id] = s.struck[id].Strike(now)
	b, err := json.Marshal(s.struck)
	if err == nil {
		err = journal.WriteFile(s.path, b)
	}
	if err != nil {
		s.log.Warn("a strike is not written down", "peer", id, "err", err)
	}
}

// countedReceipts keeps receipts and lets them count.
type countedReceipts struct {
	*receipts
	standing *standing
}

// Keep writes a receipt down.
func (c countedReceipts) Keep(role string, rec *leasev1.Receipt) error {
	sum, err := c.keep(role, rec)
	if err != nil {
		return err
	}
	c.standing.count(role, sum)
	return nil
}
