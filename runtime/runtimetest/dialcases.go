package runtimetest

import (
	"io"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// served is a port of the tasks here.
const served = 8080

func dials(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "serve 8080", "print ready", "sleep 1h")
	h.ready(t, id)
	sent := strings.Repeat("0123456789abcde\n", 1<<15)
	for range 3 {
		conn, err := h.Runtime.Dial(t.Context(), id, served)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(conn, sent)
			_ = conn.CloseWrite()
		}()
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != sent {
			t.Errorf("%d bytes of %d came back, or others, and %v", len(got), len(sent), err)
		}
		_ = conn.Close()
	}
}

func dialsNothing(t *testing.T, h Harness) {
	_, err := h.Runtime.Dial(t.Context(), "nobody", served)
	is(t, err, runtime.ErrNotFound)
	id := h.start(t, runtime.Spec{}, "serve 8080", "print ready", "sleep 1h")
	h.ready(t, id)
	_, err = h.Runtime.Dial(t.Context(), id, served+1)
	is(t, err, runtime.ErrNotListening)
	if err := h.Runtime.Pause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_, err = h.Runtime.Dial(t.Context(), id, served)
	is(t, err, runtime.ErrNotRunning)
	if err := h.Runtime.Stop(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	_, err = h.Runtime.Dial(t.Context(), id, served)
	is(t, err, runtime.ErrNotRunning)
}

func dialsEnd(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "serve 8080", "print ready", "sleep 1h")
	h.ready(t, id)
	conn, err := h.Runtime.Dial(t.Context(), id, served)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := h.Runtime.Stop(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // returns: the other end is gone
}

func uses(t *testing.T, h Harness) {
	_, err := h.Runtime.Usage(t.Context(), "nobody")
	is(t, err, runtime.ErrNotFound)
	id := h.start(t, runtime.Spec{Limits: runtime.Limits{CPUMillis: 500, MemoryBytes: 64 << 20, DiskBytes: 64 << 20, Pids: 20}}, "print ready", "sleep 1h")
	h.ready(t, id)
	u, err := h.Runtime.Usage(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	// A file system takes some of its room, or has a least size, and a runtime may have processes of its own there.
	if u.CPUMillis != 500 || u.MemoryLimit != 64<<20 || u.PidsLimit < 20 || u.DiskLimit < 32<<20 || u.DiskLimit > 256<<20 {
		t.Errorf("limits: %+v", u)
	}
	if u.Pids == 0 || u.Pids > u.PidsLimit || u.MemoryBytes > u.MemoryLimit || u.DiskBytes > u.DiskLimit || u.Files == 0 {
		t.Errorf("usage: %+v", u)
	}
	if err := h.Runtime.Stop(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	_, err = h.Runtime.Usage(t.Context(), id)
	is(t, err, runtime.ErrNotRunning)
}
