// Command model predicts what the market costs each node of networks that are too large
// to be simulated whole: how classes and tiers are split among so many nodes is computed
// by the real rules for every one of them, and how one announcement spreads among the
// members of a topic is played through on a random mesh. What a message costs was measured
// in testnet/crowd. All it prints is predicted.
//
//	go run ./testnet/model
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"text/tabwriter"
	"time"
)

// Measured with real nodes, by `make sim`; docs/scale.md has them.
const (
	measuredNodes = 100
	measuredBytes = 4145                   // sent per node and announcement
	measuredCPU   = 3 * time.Millisecond   // likewise, of a simulation in one process
	jobsPerHour   = 1.0                    // announced by each node
	leastLatency  = 10 * time.Millisecond  // one way, between two homes
	mostLatency   = 100 * time.Millisecond // likewise
)

func main() {
	seed := flag.Uint64("seed", 1, "of the dice")
	flag.Parse()
	dice := rand.New(rand.NewPCG(*seed, 0))
	perSend := measuredBytes / spreadAmong(dice, measuredNodes).sends
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "nodes\ttopics of a tier\tmembers of the one told first\tat most under a DHT key\treached\tp50\tp99\tannouncements/s\tsent per node\tCPU per node")
	for _, nodes := range []int{100, 1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000} {
		p := split(dice, nodes)
		s := spreadAmong(dice, p.members)
		rate := float64(p.heard) * jobsPerHour / 3600
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.2f %%\t%s\t%s\t%.2f\t%.1f KB/s\t%.2f %%\n", nodes, p.topics, p.members, p.hottest, 100*s.reached,
			s.p50.Round(time.Millisecond), s.p99.Round(time.Millisecond), rate, rate*s.sends*perSend/1000, 100*rate*measuredCPU.Seconds())
	}
	_ = w.Flush()
}
