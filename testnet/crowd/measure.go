package crowd

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/testnet/figure"
)

// reach is what became of announcements among members who could hear them.
type reach struct {
	expected  int
	delivered int
	after     []time.Duration
}

// said is one announcement, when it was made, and who was there.
type said struct {
	hash statement.Hash
	at   time.Time
	to   []*Member
}

// count adds one announcement: those who were there before it and until now count.
func (r *reach) count(s said, gone map[*Member]bool) {
	for _, m := range s.to {
		if gone[m] {
			continue
		}
		r.expected++
		m.mu.Lock()
		at, ok := m.heard[s.hash]
		m.mu.Unlock()
		if ok {
			r.delivered++
			r.after = append(r.after, at.Sub(s.at))
		}
	}
}

// share is how many of those who could hear did.
func (r *reach) share() float64 {
	if r.expected == 0 {
		return 0
	}
	return float64(r.delivered) / float64(r.expected)
}

// within is the time within which a share of the deliveries came.
func (r *reach) within(share float64) time.Duration {
	if len(r.after) == 0 {
		return 0
	}
	slices.Sort(r.after)
	return r.after[min(len(r.after)-1, int(share*float64(len(r.after))))]
}

func (r *reach) String() string {
	return fmt.Sprintf("%.2f %% of %d reached, p50 %s, p99 %s", 100*r.share(), r.expected,
		r.within(0.5).Round(time.Millisecond), r.within(0.99).Round(time.Millisecond))
}

// figure is what became of the announcements of one case of an experiment.
func (r *reach) figure(experiment, name string, nodes int) figure.Figure {
	return figure.Figure{Experiment: experiment, Name: name, Nodes: nodes, Reached: r.share(), P50: r.within(0.5), P99: r.within(0.99)}
}

// say has a member announce, and notes who is there to hear it.
func (c *Crowd) say(m *Member, to []*Member) said {
	c.t.Helper()
	s := said{at: time.Now(), to: slices.Clone(to)}
	var err error
	if s.hash, err = m.announce(); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// cpu is what this process used so far, of real time.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
