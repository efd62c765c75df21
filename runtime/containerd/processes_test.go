//go:build linux

package containerd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

func TestTheProcessesOfATaskAreListedAsTheHostNumbersThem(t *testing.T) {
	h := open(t)
	id := h.shell(t, runtime.Spec{}, "sleep 1000 & echo ready; sleep 1000")
	out, err := h.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pids, err := h.Processes(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	sleeping := 0
	for _, pid := range pids {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(name)) == "sleep" {
			sleeping++
		}
	}
	if sleeping != 2 {
		t.Errorf("%d of processes %v sleep; want two", sleeping, pids)
	}
	if _, err := h.Processes(t.Context(), "nothing"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("of no task: %v", err)
	}
}
