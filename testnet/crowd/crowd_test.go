package crowd

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/gossip"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/testnet/figure"
)

var (
	full    = flag.Bool("full", false, "the sizes of make sim; otherwise small ones")
	figures = flag.String("figures", "", "file to keep what is measured in, for testnet/charts")
	started = time.Now() // outside of every bubble, which have a time of their own
)

// keep keeps a figure.
func keep(t *testing.T, f figure.Figure) {
	t.Helper()
	f.Taken = started
	if err := figure.Append(*figures, f); err != nil {
		t.Error(err)
	}
}

// size is small in an ordinary test run.
func size(small, large int) int {
	if *full {
		return large
	}
	return small
}

// rest lets meshes form, or messages arrive.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Cost per node is flat: at a fixed number of jobs each node sends about as many bytes,
// whatever the size of the network.
func TestEveryMemberHearsAndCostPerNodeIsFlat(t *testing.T) {
	sizes := []int{20, 40}
	if *full {
		sizes = []int{100, 250, 500}
	}
	var base float64
	for _, n := range sizes {
		p2ptest.Bubble(t, func(t *testing.T) {
			c := New(t, 1)
			c.Join(n)
			rest(10 * time.Second)
			const messages = 30
			sentBefore, cpuBefore, begun := c.sent.sent.Load(), cpu(), time.Now()
			var r reach
			var all []said
			for range messages {
				all = append(all, c.say(c.pick(1)[0], c.Alive))
				rest(2 * time.Second)
			}
			for _, s := range all {
				r.count(s, nil)
			}
			bytes := float64(c.sent.sent.Load()-sentBefore) / float64(n) / messages
			ms := float64((cpu() - cpuBefore).Microseconds()) / 1000 / float64(n) / messages
			t.Logf("%3d nodes: %s; per node and announcement %.0f bytes sent, %.2f ms of CPU (%s simulated)", n, &r, bytes, ms, time.Since(begun).Round(time.Second))
			f := r.figure("size of the network", "", n)
			f.Bytes, f.CPU = bytes, time.Duration(ms*float64(time.Millisecond))
			keep(t, f)
			if r.share() < 0.999 || r.within(0.99) > time.Second {
				t.Errorf("%d nodes: %s", n, &r)
			}
			if base == 0 {
				base = bytes
			}
			if off := bytes/base - 1; off > 0.35 || off < -0.35 {
				t.Errorf("%d nodes send %.0f bytes each, the smallest network %.0f", n, bytes, base)
			}
		})
	}
}

// One peer says 10,000 things in a minute: those it says them to stop listening
// within ten seconds, and everybody else's announcements arrive.
func TestASpammerIsGraylistedAndHonestAnnouncementsArrive(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		c := New(t, 2)
		honest := c.Join(size(20, 100))
		spammer := c.make(func(peer.ID, []byte) gossip.Verdict { return gossip.Accept })
		spammer.meet(c.pick(degree)...)
		rest(10 * time.Second)
		begun, cpuBefore := time.Now(), cpu()
		spam, seconds := size(3000, 10_000), size(18, 60)
		var all []said
		for second := range seconds {
			for range spam / seconds {
				_, _ = spammer.announce()
			}
			if second%3 == 1 {
				all = append(all, c.say(honest[second%len(honest)], honest))
			}
			rest(time.Second)
		}
		used := cpu() - cpuBefore
		var last time.Time
		for _, m := range honest {
			m.mu.Lock()
			if at := m.judged[spammer.host.ID()]; at.After(last) {
				last = at
			}
			m.mu.Unlock()
		}
		var r reach
		for _, s := range all {
			r.count(s, nil)
		}
		deaf := last.Sub(begun)
		t.Logf("%d announcements of one peer in %d s: nothing of it is read after %s; honest: %s; %.2f cores in all of %d nodes",
			spam, seconds, deaf.Round(time.Millisecond), &r, used.Seconds()/float64(seconds), len(honest)+1)
		keep(t, r.figure("spam", "", len(honest)))
		if deaf > 10*time.Second || r.share() < 0.99 {
			t.Errorf("graylisted after %s; honest announcements: %s", deaf, &r)
		}
	})
}

// Four of five members swallow what they hear. Those who do not still hear each other.
func TestSybilsThatSwallowEverythingDoNotSilenceTheHonest(t *testing.T) {
	var baseline time.Duration
	for _, attack := range []struct {
		name   string
		sybils bool
		before time.Duration // of good conduct
	}{
		{"nobody", false, 0},
		{"4 to 1 from the beginning", true, 0},
		{"4 to 1 after minutes of good conduct", true, time.Duration(size(1, 5)) * time.Minute},
	} {
		p2ptest.Bubble(t, func(t *testing.T) {
			c := New(t, 3)
			honest := c.Join(size(8, 100))
			begun := time.Now()
			if attack.sybils {
				for range 4 * len(honest) {
					m := c.make(swallow(begun.Add(attack.before)))
					m.meet(c.pick(degree)...)
					c.Alive = append(c.Alive, m)
				}
			}
			rest(attack.before + 20*time.Second)
			var r reach
			var all []said
			for i := range size(8, 20) {
				all = append(all, c.say(honest[i%len(honest)], honest))
				rest(5 * time.Second)
			}
			for _, s := range all {
				r.count(s, nil)
			}
			t.Logf("%s: %s", attack.name, &r)
			keep(t, r.figure("Sybils", attack.name, len(honest)))
			if r.share() < 0.99 {
				t.Errorf("%s: %s", attack.name, &r)
			}
			if !attack.sybils {
				baseline = r.within(0.99)
			} else if r.within(0.99) > 2*baseline {
				t.Logf("%s: p99 is %.1f times the baseline; the goal is 2", attack.name, float64(r.within(0.99))/float64(baseline))
			}
		})
	}
}

// swallow passes nothing on from a moment on, and keeps the rules before.
func swallow(from time.Time) conduct {
	return func(peer.ID, []byte) gossip.Verdict {
		if time.Now().Before(from) {
			return gossip.Accept
		}
		return gossip.Ignore
	}
}

// Everybody starts at once, and the first announcement comes two seconds later.
func TestAfterAColdBootTheFirstAnnouncementReachesEverybody(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		c := New(t, 4)
		all := c.Join(size(20, 200))
		rest(2 * time.Second)
		var r reach
		s := c.say(all[0], all)
		rest(5 * time.Second)
		r.count(s, nil)
		t.Logf("cold boot of %d: %s", len(all), &r)
		keep(t, r.figure("cold boot", "", len(all)))
		if r.share() < 0.99 {
			t.Errorf("%s", &r)
		}
	})
}

// Somebody surrounds one member with twenty that swallow everything. One honest
// connection is enough.
func TestAnEclipsedMemberHearsThroughOneHonestConnection(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		c := New(t, 5)
		honest := c.Join(size(15, 100))
		target := c.make(nil)
		target.meet(c.pick(1)...)
		for range 20 {
			m := c.make(swallow(time.Time{}))
			m.meet(target)
			m.meet(c.pick(2)...)
		}
		rest(20 * time.Second)
		var r, others reach
		for i := range 20 {
			s := c.say(honest[i%len(honest)], []*Member{target})
			rest(5 * time.Second)
			r.count(s, nil)
			s.to = honest
			others.count(s, nil)
		}
		t.Logf("eclipse: %s; those around it: %s", &r, &others)
		keep(t, r.figure("eclipse", "", len(honest)))
		if r.share() < 0.99 || r.within(0.99) > 2*others.within(0.99) {
			t.Errorf("%s; those around it: %s", &r, &others)
		}
	})
}

// A fifth of the network leaves every minute and is replaced. Whoever stays hears.
func TestChurnLosesNothingForThoseWhoStay(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		c := New(t, 6)
		c.Join(size(20, 200))
		rest(20 * time.Second)
		gone := map[*Member]bool{}
		var r reach
		for range size(3, 30) {
			for part := range 6 {
				s := c.say(c.pick(1)[0], c.Alive)
				if part%2 == 1 {
					c.replace(len(c.Alive)/15, gone)
				}
				rest(5 * time.Second)
				r.count(s, gone)
				rest(5 * time.Second)
			}
		}
		t.Logf("churn of a fifth a minute among %d: %s", len(c.Alive), &r)
		keep(t, r.figure("churn", "a fifth a minute", len(c.Alive)))
		if r.share() < 0.99 || r.within(0.99) > 5*time.Second {
			t.Errorf("%s", &r)
		}
	})
}

// replace ends n members and adds as many.
func (c *Crowd) replace(n int, gone map[*Member]bool) {
	for _, m := range c.pick(n) {
		m.leave()
		gone[m] = true
	}
	kept := c.Alive[:0]
	for _, m := range c.Alive {
		if !gone[m] {
			kept = append(kept, m)
		}
	}
	c.Alive = kept
	c.Join(n)
}
