// Package node puts one machine together: identity, network, journal, store,
// the requester every node is, the worker it may be, and the control socket.
package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/witness"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/announce"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/node/keeper"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	"github.com/rigmesh/rigmesh/runtime"
)

// Parts are what a node is made of beside its configuration. Nil ones are made
// from it; simulations and tests hand in their own.
type Parts struct {
	Now     func() time.Time
	Slept   func() time.Duration // how long the machine was asleep or off, of a count of its own
	Wall    func() time.Time     // the clock on the wall; time.Now when nil
	Host    *p2p.Host            // with an identity; on a simulated network, say
	Key     ed25519.PrivateKey   // Host's; read from the data directory when nil
	Runtime runtime.Runtime
	Machine *Machine // the devices; from the configuration when nil
	// AnyAddress lets a worker fetch inputs from private addresses too: for tests alone,
	// whose servers are on loopback.
	AnyAddress bool
	// Registry is a worker's way to public images; registries of the public internet when nil.
	Registry worker.Registry
	// Reload reads the configuration anew, with what this process was started with
	// over it. Nil: it cannot be changed while the node runs.
	Reload  func() (config.Config, error)
	Journal journal.FS // where the journal lives; a folder of the data directory when nil
	// Guard are the arguments with which this program, started anew, puts settings
	// of devices back when its standard input ends. Nil: nobody does after a crash,
	// before the next start.
	Guard   []string
	Log     *slog.Logger
	Version string
	// HostRoot is where drivers and devices are looked for; "/" when empty.
	HostRoot string
	// SealRate is the squarings asked of workers for each minute of a heartbeat's
	// interval, DefaultSealRate in a real node; 0: no seals.
	SealRate uint64
	// NoControl leaves the control socket away: a simulated bubble has no real sockets.
	NoControl bool
}

// DefaultSealRate costs a worker some 0.5 % of one core: 2^18 squarings take
// about 0.3 s with their proof.
const DefaultSealRate = 1 << 18

// Node is one machine on the network.
type Node struct {
	cfg     config.Config
	parts   Parts
	log     *slog.Logger
	key     ed25519.PrivateKey
	started time.Time

	host      *p2p.Host
	pskTag    []byte // of the key of the private network; nil: an open one
	discovery *discovery.Discovery
	gossip    *gossip.Router
	journal   *journal.Journal
	clock     *machineClock  // nil when another was handed in
	guard     *session.Guard // what the journal is written through
	store     *blob.Store
	trimming  sync.Mutex // one at a time makes room in the store
	images    *images    // public ones, and who else has them
	commons   *commons   // what is shared by its digest
	uploaded  *blob.Meter
	receipts  *receipts
	offers    *offers
	board     *announce.Board
	standing  *standing
	rates     *rates

	splitting sync.Mutex
	split     discovery.Spread // of classes over keys of the DHT
	tiers     discovery.Spread // of tiers over topics of gossip
	devices   *gpu.Reservations
	cards     worker.Cards // nil: the devices need nothing before a tenant
	input     *input
	keeper    *keeper.Keeper                // of devices; nil on a node that only rents
	changed   atomic.Pointer[config.Config] // cfg with what its owner changed since; nil: nothing
	requester *requester.Requester
	witness   *witness.Witness
	worker    *worker.Worker // nil on a node that only rents

	release      func()    // the data directory's lock
	releaseCards func()    // the lock on the devices' settings
	stop         chan bool // Shutdown's wish: drain or not
	draining     atomic.Bool
}

// New puts a node together. It starts listening and reads the journal, and does
// nothing else before Run. control.LockedError when another process owns the
// data directory.
func New(cfg config.Config, parts Parts) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, parts: parts, log: parts.Log, stop: make(chan bool, 1)}
	for _, make := range []func() error{
		n.lock, n.makeClock, n.makeIdentity, n.makeStore, n.makeNetwork, n.makeRequester, n.makeWitness, n.makeWorker, n.restore,
	} {
		if err := make(); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

// lock makes this process the one that owns the data directory.
func (n *Node) lock() error {
	release, err := control.Lock(n.cfg.DataDir)
	n.release = release
	return err
}

func (n *Node) path(name ...string) string {
	return filepath.Join(append([]string{n.cfg.DataDir}, name...)...)
}

func (n *Node) now() time.Time { return n.parts.Now() }

func (n *Node) makeClock() error {
	if n.parts.Now == nil {
		var err error
		if n.clock, err = openClock(n.path("clock")); err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		n.parts.Now, n.parts.Slept = n.clock.now, n.clock.slept
	}
	return nil
}

func (n *Node) makeIdentity() error {
	n.key = n.parts.Key
	if n.key != nil {
		return nil
	}
	key, err := p2p.LoadKey(n.path("identity.key"))
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	n.key = key
	return nil
}

func (n *Node) makeStore() error {
	var err error
	if n.store, err = blob.Open(n.path("blobs")); err != nil {
		return fmt.Errorf("open the blob store: %w", err)
	}
	if n.journal, err = n.openJournal(); err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	n.guard = session.NewGuard(n.journal, n.key.Public().(ed25519.PublicKey))
	if cut := n.journal.Cut(); cut > 0 {
		n.log.Info("journal: an unfinished record at the end was cut off", "bytes", cut)
	}
	n.receipts, err = openReceipts(n.path("receipts"), n.log)
	return err
}

func (n *Node) openJournal() (*journal.Journal, error) {
	files := n.parts.Journal
	if files == nil {
		var err error
		if files, err = journal.Dir(n.path("journal")); err != nil {
			return nil, err
		}
	}
	files, err := withFailPoints(files)
	if err != nil {
		return nil, err
	}
	return journal.OpenFS(files)
}

// makeNetwork starts listening. Nothing here waits for another node.
func (n *Node) makeNetwork() error {
	n.host = n.parts.Host
	if n.host == nil {
		if err := n.listen(); err != nil {
			return err
		}
	}
	n.recallPeers()
	var err error
	if n.discovery, err = discovery.New(n.host, discovery.Config{}); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if n.gossip, err = gossip.New(n.host, gossip.Config{Rendezvous: n.discovery}); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	n.tiers = discovery.Over(announce.PerTopic)
	n.board = announce.New(announce.Config{
		Router: n.gossip, Network: n.cfg.Network, Now: n.now, Self: n.host.ID(), Spread: n.audience,
	})
	n.offers = newOffers(n)
	n.offers.recall()
	n.rates = newRates(n.now)
	n.standing = openStanding(n.path("standing.json"), n.receipts, n.now, n.log)
	n.images = openImages(n)
	n.commons = openCommons(n)
	n.uploaded = blob.NewMeter(n.cfg.Reach.UploadMax)
	return nil
}

// makeWitness makes this node watch leases whose two sides want it to.
func (n *Node) makeWitness() error {
	n.witness = witness.New(witness.Config{Key: n.key, Network: n.cfg.Network, Now: n.now, Journal: n.guard, Log: n.log})
	return nil
}

func (n *Node) makeRequester() error {
	n.requester = requester.New(requester.Config{
		Key: n.key, Network: n.cfg.Network, AbsentGrace: n.cfg.AbsentGrace, SealRate: n.parts.SealRate,
		Dir: n.path("jobs"), Now: n.now,
		Market: marketSide{n}, Streams: streamSide{n}, Content: content{n.store},
		Journal: n.guard, Receipts: countedReceipts{n.receipts, n.standing}, Standing: n.standing, Log: n.log,
	})
	return nil
}

// restore takes up what the last process left, before anything new can come in.
func (n *Node) restore() error {
	var last time.Time
	noting := func(fn func(journal.Record) error) error {
		return n.journal.Replay(func(rec journal.Record) error {
			if rec.At.After(last) {
				last = rec.At
			}
			return fn(rec)
		})
	}
	if err := n.guard.Learn(noting); err != nil {
		return fmt.Errorf("read what was signed from the journal: %w", err)
	}
	if err := n.requester.Restore(n.journal.Replay); err != nil {
		return fmt.Errorf("restore jobs from the journal: %w", err)
	}
	if err := n.witness.Restore(n.journal.Replay); err != nil {
		return fmt.Errorf("restore watched leases from the journal: %w", err)
	}
	if n.worker != nil {
		if err := n.worker.Restore(n.journal.Replay); err != nil {
			return fmt.Errorf("restore leases from the journal: %w", err)
		}
	}
	return n.settleClock(last)
}

// settleClock keeps a clock of this boot, not behind what was recorded last if a lease
// lives: such a lease would stand still until the clock catches up.
func (n *Node) settleClock(last time.Time) error {
	defer func() { n.started = n.now() }()
	if n.clock == nil {
		return nil
	}
	if n.requester.Live() == 0 && (n.worker == nil || n.worker.Live() == 0) {
		last = time.Time{}
	}
	return n.clock.settle(last)
}

// close lets go of everything New opened, in reverse order.
func (n *Node) close() error {
	var errs []error
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.journal != nil {
		errs = append(errs, n.journal.Close())
	}
	for _, release := range []func(){n.releaseCards, n.release} {
		if release != nil {
			release()
		}
	}
	return errors.Join(errs...)
}

// ID is the node's name on the network.
func (n *Node) ID() string { return n.host.ID().String() }

// Addrs are the addresses at which others reach this node.
func (n *Node) Addrs() []string { return n.host.Addrs() }

// Requester is the part that gets jobs done elsewhere.
func (n *Node) Requester() *requester.Requester { return n.requester }

// Worker is the part that lends devices; nil on a node that only rents.
func (n *Node) Worker() *worker.Worker { return n.worker }

// Store holds blobs by digest.
func (n *Node) Store() *blob.Store { return n.store }

// Sharing is what this node gives to whoever knows its digest, and what others give so.
func (n *Node) Sharing() control.Sharing { return n.commons }

// busy says whether a lease or job of this node goes on.
func (n *Node) busy() bool {
	return n.requester.Live() > 0 || (n.worker != nil && n.worker.Live() > 0)
}

// Shutdown makes Run return; with drain, when its leases have ended.
func (n *Node) Shutdown(drain bool) {
	select {
	case n.stop <- drain:
	default:
	}
}

// waitStop returns when the node is to stop.
func (n *Node) waitStop(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case drain := <-n.stop:
		if drain {
			n.drain(ctx)
		}
	}
}

// drain takes no new lease and waits for those there are. A second Shutdown
// without drain cuts it short.
func (n *Node) drain(ctx context.Context) {
	n.draining.Store(true)
	if n.worker != nil {
		n.worker.Drain(true)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n.busy() {
		select {
		case <-ctx.Done():
			return
		case again := <-n.stop:
			if !again {
				return
			}
		case <-tick.C:
		}
	}
}

// Receipt finds a receipt by the beginning of its lease's or job's id.
func (n *Node) Receipt(id string) (lease string, file []byte, err error) {
	return n.receipts.Receipt(id)
}
