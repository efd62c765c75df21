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
