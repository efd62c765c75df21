//go:build linux

package nat

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

var whole = flag.Bool("whole", false, "every kind of NAT against every other, 64 MiB each, and twenty rigs behind one address")

// dataRelay is what a relay for data carries of one connection, in bytes.
const dataRelay = 1 << 30

// cell is one pair of the matrix.
type cell struct {
	way   controlv1.Way // when the lease was over
	later controlv1.Way // when it was relayed till then, and the two got around it
	took  time.Duration
	err   error
}

func direct(w controlv1.Way) bool {
	return w == controlv1.Way_WAY_DIRECT || w == controlv1.Way_WAY_PUNCHED
}

// A lease with its input goes between any two sites, with one relay that carries data,
// and where the two NATs can meet they are connected directly, if not at once.
func TestALeaseGoesThroughTheNATs(t *testing.T) {
	kinds, mib := []Kind{PortRestricted, Symmetric}, 4
	if *whole {
		kinds, mib = Kinds, 64
	}
	w := newWorld(t, dataRelay)
	var requesters, workers []string
	for _, k := range kinds {
		r, wk := "r-"+k.String(), "w-"+k.String()
		w.lend(w.site(wk, k, 1)[0], wk)
		w.rent(w.site(r, k, 1)[0], r, 0)
		requesters, workers = append(requesters, r), append(workers, wk)
	}
	for i := range kinds {
		w.settled(workers[i])
		w.settled(requesters[i])
	}
	for _, r := range requesters {
		w.knows(r, workers)
	}
	table := map[[2]Kind]cell{}
	for i, a := range kinds {
		for j, b := range kinds {
			var c cell
			c.took, c.err = w.lease(requesters[i], workers[j], mib)
			c.way = w.way(requesters[i], workers[j])
			if c.err != nil {
				t.Errorf("%s > %s: %v", a, b, c.err)
			} else if c.way == controlv1.Way_WAY_RELAYED && Meet(a, b) {
				// The lease was over before the two had punched.
				w.await(fmt.Sprintf("%s > %s to get around the relay", a, b), func() bool {
					c.later = w.way(requesters[i], workers[j])
					return direct(c.later)
				})
			}
			table[[2]Kind{a, b}] = c
		}
	}
	t.Logf("%d MiB of input, requesters down, workers across:\n%s", mib, draw(kinds, table))
}

func name(w controlv1.Way) string { return strings.ToLower(strings.TrimPrefix(w.String(), "WAY_")) }

// draw is the matrix as Markdown has it.
func draw(kinds []Kind, table map[[2]Kind]cell) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, k := range kinds {
		fmt.Fprintf(&b, " %s |", k)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(kinds)) + "\n")
	for _, a := range kinds {
		fmt.Fprintf(&b, "| **%s** |", a)
		for _, k := range kinds {
			c := table[[2]Kind{a, k}]
			says := name(c.way)
			if c.later != controlv1.Way_WAY_UNSPECIFIED {
				says += ", then " + name(c.later)
			}
			if c.err != nil {
				says = "**failed**"
			}
			fmt.Fprintf(&b, " %s, %.1f s |", says, c.took.Seconds())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// A relay as every public node is one cuts a connection after 16 MiB. A lease and an input
// of more go through it in parts, where nothing else leads.
func TestALeaseGoesThroughARelayThatCutsItsConnection(t *testing.T) {
	if !*whole {
		t.Skip("moves 64 MiB through a relay: make nat")
	}
	w := newWorld(t, 16<<20)
	w.lend(w.site("w", Symmetric, 1)[0], "w")
	w.rent(w.site("r", Symmetric, 1)[0], "r", 0)
	w.settled("w")
	w.settled("r")
	w.knows("r", []string{"w"})
	took, err := w.lease("r", "w", 64)
	if err != nil {
		t.Error(err)
	}
	if way := w.way("r", "w"); way != controlv1.Way_WAY_RELAYED {
		t.Errorf("the two can meet (%s): this test proves nothing", way)
	}
	t.Logf("64 MiB of input through a relay that cuts after 16 MiB: %.1f s", took.Seconds())
}

// A miner's rigs share one address, and a requester outside gets a lease on each.
func TestTwentyRigsBehindOneAddressAllWork(t *testing.T) {
	if !*whole {
		t.Skip("takes twenty nodes with their containerd: make nat")
	}
	w := newWorld(t, dataRelay)
	var rigs []string
	for i, ns := range w.site("rig", PortRestricted, 20) {
		name := fmt.Sprintf("rig-%d", i)
		w.lend(ns, name)
		rigs = append(rigs, name)
	}
	w.rent(w.site("home", PortRestricted, 1)[0], "home", 0)
	for _, name := range append(rigs, "home") {
		w.settled(name)
	}
	w.knows("home", rigs)
	count := map[controlv1.Way]int{}
	for _, rig := range rigs {
		if _, err := w.lease("home", rig, 1); err != nil {
			t.Errorf("%s: %v", rig, err)
		}
		count[w.way("home", rig)]++
	}
	t.Logf("20 rigs behind one address: a lease on each; ways %v", count)
}
