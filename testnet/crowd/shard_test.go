package crowd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// stands are the members of a topic.
func (c *Crowd) stands(topic string) (all []*Member) {
	for _, m := range c.Alive {
		if slices.Contains(c.split.Keys("jobs/"+tier, m.host.ID()), topic) {
			all = append(all, m)
		}
	}
	return all
}

// A tier that is split reaches every member of the shard it is said in, though members
// of one shard know few of each other; said more widely it reaches everybody.
func TestATierThatIsSplitReachesItsShardAndThenEverybody(t *testing.T) {
	n := size(24, 400)
	for _, rendezvous := range []bool{false, true} {
		p2ptest.Bubble(t, func(t *testing.T) {
			c := New(t, 9)
			c.rendezvous, c.split = rendezvous, discovery.Over(n/5).Next(n)
			for range n {
				m := c.make(nil)
				m.meet(c.pick(3)...)
				c.Alive = append(c.Alive, m)
			}
			rest(2 * time.Minute)
			var shard, all reach
			for _, m := range c.pick(size(8, 20)) {
				signed, err := m.sign()
				if err != nil {
					t.Fatal(err)
				}
				topics := c.split.Around("jobs/"+tier, m.host.ID())
				for wider, topic := range topics {
					s := said{at: time.Now(), to: c.stands(topic)}
					if s.hash, err = m.publish(signed, wider); err != nil {
						t.Logf("in %s: %v", topic, err)
					}
					rest(5 * time.Second)
					if wider == 0 {
						shard.count(s, nil)
					}
					if s.to = c.Alive; wider == len(topics)-1 {
						all.count(s, nil)
					}
				}
			}
			how := "members of a topic know each other by chance"
			if rendezvous {
				how = "members of a topic find each other"
			}
			t.Logf("%d nodes in shards of %d, %s: %s; said in all %d topics: %s", n, n>>c.split.Bits(), how, &shard,
				len(c.split.Around("jobs/"+tier, c.Alive[0].host.ID())), fmt.Sprintf("%.2f %%", 100*all.share()))
			keep(t, shard.figure("split tier", how, n))
			if rendezvous && (shard.share() < 0.999 || all.share() < 0.999) {
				t.Errorf("of the shard %.2f %%, of all %.2f %%", 100*shard.share(), 100*all.share())
			}
		})
	}
}
