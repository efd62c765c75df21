//go:build linux

package containerd

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

func TestNothingOfTheHostIsReachedThroughATasksPorts(t *testing.T) {
	h := open(t)
	id := h.shell(t, runtime.Spec{ID: "dialled"}, "sleep 600")
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, "localhost:0") // as the node's metrics do, or its owner's database
		if err != nil {
			t.Logf("%s: %v", network, err)
			continue
		}
		defer l.Close()
		conn, err := h.Dial(t.Context(), id, uint16(l.Addr().(*net.TCPAddr).Port))
		if !errors.Is(err, runtime.ErrNotListening) {
			t.Errorf("a port of the host: %v, %v", conn, err)
		}
	}
}

func TestOnlyTheTasksOwnProcessIsEntered(t *testing.T) {
	h := open(t)
	id := h.shell(t, runtime.Spec{ID: "entered"}, "sleep 600")
	other := h.shell(t, runtime.Spec{ID: "not-entered"}, "sleep 600")
	theirs, err := h.Processes(t.Context(), other)
	if err != nil || len(theirs) == 0 {
		t.Fatalf("processes of the other task: %v, %v", theirs, err)
	}
	for name, pid := range map[string]int{"this process": os.Getpid(), "init": 1, "another task": int(theirs[0]), "nobody": 1 << 22} {
		if process, err := h.hold(id, pid); !errors.Is(err, runtime.ErrNotRunning) {
			t.Errorf("%s: %d, %v", name, process, err)
		}
	}
}
