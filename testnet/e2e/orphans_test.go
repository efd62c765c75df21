//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var (
	killJobs = flag.Int("kill-jobs", 5, "how many jobs of TestRandomKillsLeaveNoOrphan have something killed")
	killSeed = flag.Uint64("kill-seed", 7, "what its moments are drawn from")
)

// victims are what is killed as a power cut would, and the codes that the job may then
// have: nobody can tell in advance whether a kill comes before the end.
var victims = []struct {
	name  string
	kill  func(n *network)
	codes []int
}{
	{"node", func(n *network) {
		if err := n.worker.Kill(); err != nil {
			n.t.Fatal(err)
		}
		n.startWorker()
	}, []int{7}},
	{"containerd", func(n *network) { n.killOne("containerd --root") }, []int{7}},
	{"task", func(n *network) { n.killOne("/.rigmesh/init") }, []int{7, 125}}, // or it is lost
	{"node and containerd", func(n *network) {
		if err := n.worker.Kill(); err != nil {
			n.t.Fatal(err)
		}
		n.killOne("containerd --root")
		n.startWorker()
	}, []int{7}},
}

// killOne kills the lab's process with such a command, if there is one.
func (n *network) killOne(command string) {
	n.t.Helper()
	left, err := n.Remains()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, p := range left.Processes {
		if strings.Contains(p.Command, command) {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // gone by now is as good
			return
		}
	}
}

// finish, when the test ends, looks for what is left.
func TestRandomKillsLeaveNoOrphan(t *testing.T) {
	n := start(t)
	random := rand.New(rand.NewPCG(*killSeed, uint64(*killJobs)))
	count := map[string]int{}
	for i := range *killJobs {
		v := victims[i%len(victims)]
		job := n.detach("--disk", "64MiB", "oci-archive:busybox.tar", "sh", "-c", "echo on; sleep 1; exit 7")
		if random.IntN(2) == 0 {
			n.await(job, "on")
		} else { // somewhere in the middle of its start
			n.awaitJob(job, "leased", func(j listed) bool { return j.Lease != "" })
		}
		v.kill(n)
		r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job)
		if !slices.Contains(v.codes, r.code) {
			t.Errorf("job %d, %s killed: exit code %d\n%s", i, v.name, r.code, r.stderr)
		}
		count[fmt.Sprintf("%s killed, code %d", v.name, r.code)]++
	}
	for what, n := range count {
		t.Logf("%d × %s", n, what)
	}
}
