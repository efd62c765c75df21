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
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

// Measured with real nodes, by `make sim`; docs/scale.md has them.
const (
	measuredNodes = 100
	measuredBytes = 5395                   // sent per node and announcement
	measuredCPU   = 3 * time.Millisecond   // likewise, of a simulation in one process
	jobsPerHour   = 1.0                    // announced by each node
	leastLatency  = 10 * time.Millisecond  // one way, between two homes
	mostLatency   = 100 * time.Millisecond // likewise
)

func main() {
	seed := flag.Uint64("seed", 1, "of the dice")
	into := flag.String("into", "", "document to write into; without one the result is printed")
	flag.Parse()
	text := predict(rand.New(rand.NewPCG(*seed, 0)), []int{100, 1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000})
	if *into == "" {
		fmt.Print(text)
		return
	}
	if err := figure.Into(*into, "make sim-big", text); err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

// predict is a table of what networks of such sizes cost, and charts.
func predict(dice *rand.Rand, sizes []int) string {
	var b strings.Builder
	b.WriteString("| nodes | topics | members of the one told first | at most under a DHT key | reached | p50 | p99 | heard a second | sent per node | CPU per node |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	perSend := measuredBytes / spreadAmong(dice, measuredNodes).sends
	var sent, used []figure.Point
	for _, nodes := range sizes {
		p := split(dice, nodes)
		s := spreadAmong(dice, p.members)
		rate := float64(p.heard) * jobsPerHour / 3600
		bytes, cpu := rate*s.sends*perSend/1000, 100*rate*measuredCPU.Seconds()
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %.2f %% | %d ms | %d ms | %.2f | %.1f KB/s | %.2f %% |\n", nodes, p.topics, p.members, p.hottest,
			100*s.reached, s.p50.Milliseconds(), s.p99.Milliseconds(), rate, bytes, cpu)
		name := fmt.Sprint(nodes)
		sent = append(sent, figure.Point{Name: name, Value: bytes})
		used = append(used, figure.Point{Name: name, Value: cpu})
	}
	b.WriteString("\n" + figure.Chart("Sent per node, against the size of the network (predicted)", "KB/s", "line", sent))
	b.WriteString(figure.Chart("CPU per node, against the size of the network (predicted)", "% of a core", "line", used))
	return b.String()
}
