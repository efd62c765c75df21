package sim

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

var soakJobs = flag.Int("soak-jobs", 24, "how many jobs one worker and one requester go through in TestNodesDoNotGrowWithJobs")

// held is what a process holds, with two nodes in it.
type held struct {
	heap, goroutines, files int
}

func hold() held {
	goroutines, heap := footprint()
	files, _ := os.ReadDir("/proc/self/fd") // none where there is no such folder
	return held{int(heap), goroutines, len(files)}
}

// A worker and a requester go through many jobs, four at a time. What they hold is looked at ten
// times, when nothing runs: the first look comes when all that is made once has been made.
func TestNodesDoNotGrowWithJobs(t *testing.T) {
	const atOnce, nodes = 4, 2
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{Quiet: true}, Setting{GPUs: "rtx-4090:4", Price: price, Quiet: true})
		settle()
		var first, last held
		rounds := max(10, *soakJobs/atOnce)
		for i := range rounds {
			var ids []string
			for range atOnce {
				sub := submission(t, m[0], "print done", "exit 3")
				sub.WaitMs = time.Hour.Milliseconds()
				ids = append(ids, submit(t, m[0], sub, 0))
			}
			for _, id := range ids {
				if end := ended(t, follow(t, m[0], id)); end.Outcome != leasev1.Outcome_OUTCOME_EXITED || end.Exit.GetCode() != 3 {
					t.Fatalf("round %d: ended %v", i, end)
				}
			}
			if (i+1)%(rounds/10) == 0 {
				settle()
				last = hold()
				if first == (held{}) {
					first = last
				}
				t.Logf("after %d jobs: heap %d KiB, %d goroutines, %d files", (i+1)*atOnce, last.heap>>10, last.goroutines, last.files)
			}
		}
		if last.goroutines > first.goroutines+8 || last.files > first.files+4 {
			t.Errorf("%d goroutines and %d files became %d and %d", first.goroutines, first.files, last.goroutines, last.files)
		}
		jobs := rounds*atOnce - rounds/10*atOnce
		growth := (last.heap - first.heap) / nodes * 1000 / jobs
		t.Logf("a node grows by %d KiB with 1,000 jobs", growth>>10)
		if jobs > 1000 && growth > 2<<20 { // what a requester shows of its jobs, what either side has signed, and caches that fill
			t.Error("it grows by more")
		}
	})
}
