//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

func TestTheProcessesOfATaskAreListedAsTheHostNumbersThem(t *testing.T) {
	h := open(t)
	// Two that are there for certain, with no child on its way to becoming another program.
	id := h.shell(t, runtime.Spec{}, "for i in 1 2; do sh -c 'echo ready; kill -STOP $$' marked & done; wait")
	out, err := h.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.ReadFull(out, make([]byte, len("ready\nready\n"))); err != nil {
		t.Fatal(err)
	}
	pids, err := h.Processes(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	marked := 0
	for _, pid := range pids {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasSuffix(string(line), "\x00marked\x00") {
			marked++
		}
	}
	if marked != 2 {
		t.Errorf("%d of processes %v are marked; want two", marked, pids)
	}
	if err := h.Stop(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	if pids, err := h.Processes(t.Context(), id); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("of an ended task: %v, %v", pids, err)
	}
	if _, err := h.Processes(t.Context(), "nothing"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("of no task: %v", err)
	}
}
