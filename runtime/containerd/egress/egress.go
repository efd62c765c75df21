//go:build linux

// Package egress gives a task a way out to the public internet, and nowhere else. Each
// has a link of its own into its network namespace; one nftables table of this node says
// where that leads, and a resolver that answers inside the namespace says what names mean.
//
// Whatever it makes bears the node's name: the table, and the alias of each link.
package egress

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// Gate is the way out of one node's tasks.
type Gate struct {
	name    string // of the table, and the beginning of the links' aliases
	lookup  Lookup
	rate    uint64
	log     *slog.Logger
	mu      sync.Mutex // one change of the table at a time
	servers map[string]*server
	uplinks map[string]bool // interfaces that forward because we told them to

	lookEvery time.Duration
}

// Lookup resolves a name to addresses; network is "ip4" or "ip6".
type Lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)

// Config says whose gate it is.
type Config struct {
	Name   string // of everything it makes, such as "rigmesh-abc"
	Rate   uint64 // bytes a second, for each task and direction
	Lookup Lookup
	Log    *slog.Logger

	LookEvery time.Duration // that what it made is still there; 0: 5 seconds
}

// New makes a gate. It does nothing yet.
func New(c Config) *Gate {
	return &Gate{name: c.Name, rate: c.Rate, lookup: c.Lookup, log: c.Log, lookEvery: cmp.Or(c.LookEvery, defaultLookEvery),
		servers: make(map[string]*server), uplinks: make(map[string]bool)}
}

// Task is a task that wants a way out.
type Task struct {
	ID     string
	PID    int    // of a process in its network namespace
	Slot   uint16 // below 32,768; no other task of this host has it
	Policy runtime.Egress
}

// Nameserver is where a task finds its resolver.
const Nameserver = "127.0.0.53"

// Open connects a task. What is there already is left as it is.
func (g *Gate) Open(t Task) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.makeTable(); err != nil {
		return fmt.Errorf("network of task %s: rules: %w", t.ID, err)
	}
	l := linkOf(t.Slot)
	// Rules first: a link without them leads anywhere.
	if err := g.admit(l, t.Policy); err != nil {
		return fmt.Errorf("network of task %s: rules: %w", t.ID, err)
	}
	if err := g.letAnswersIn(); err != nil {
		return fmt.Errorf("network of task %s: forwarding: %w", t.ID, err)
	}
	if err := l.plug(t.PID, g.alias(t.ID)); err != nil {
		return fmt.Errorf("network of task %s: link: %w", t.ID, err)
	}
	if err := g.serve(t, l); err != nil {
		return fmt.Errorf("network of task %s: resolver: %w", t.ID, err)
	}
	return nil
}

func (g *Gate) alias(id string) string { return g.name + "/" + id }

// Close cuts a task off.
func (g *Gate) Close(id string, slot uint16) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.servers[id]; s != nil {
		s.close()
		delete(g.servers, id)
	}
	l := linkOf(slot)
	if err := l.unplug(g.alias(id)); err != nil {
		return fmt.Errorf("network of task %s: link: %w", id, err)
	}
	if err := g.expel(l); err != nil {
		return fmt.Errorf("network of task %s: rules: %w", id, err)
	}
	return nil
}

// Sweep cuts off every task of this node that is not among those, and with none left
// takes the table away.
func (g *Gate) Sweep(live []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	left, err := ownLinks(g.name)
	if err != nil {
		return fmt.Errorf("sweep the network: %w", err)
	}
	for id, slot := range left {
		if slices.Contains(live, id) {
			continue
		}
		l := linkOf(slot)
		if err := l.unplug(g.alias(id)); err != nil {
			return fmt.Errorf("sweep the network: %w", err)
		}
		if err := g.expel(l); err != nil {
			return fmt.Errorf("sweep the network: %w", err)
		}
	}
	if len(live) > 0 {
		return nil
	}
	if err := g.dropTable(); err != nil && len(left) > 0 {
		return fmt.Errorf("sweep the network: %w", err)
	} else if err != nil { // a kernel without nftables has no table of ours either
		g.log.Debug("sweep the network", "err", err)
	}
	return nil
}

// Forget lets go of the resolvers of all tasks; links and rules stay.
func (g *Gate) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, s := range g.servers {
		s.close()
		delete(g.servers, id)
	}
}
