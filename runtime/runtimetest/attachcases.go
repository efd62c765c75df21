package runtimetest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

func attachReads(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{Stdin: true}, "print ready", "cat", "exit 3")
	h.ready(t, id)
	sent := strings.Repeat("0123456789abcde\n", 3<<14)
	if err := h.Runtime.Attach(t.Context(), id, runtime.Attachment{Stdin: strings.NewReader(sent)}); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 3)
	if got := h.read(t, id, runtime.Stdout, 0, false); got != "ready\n"+sent {
		t.Errorf("%d bytes of %d, or others", len(got), len("ready\n"+sent))
	}
}

func attachTerminal(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{Terminal: true, Stdin: true}, "print ready", "eprint both", "cat", "exit 42")
	h.ready(t, id)
	ctx, leave := context.WithCancel(t.Context())
	var earlier bytes.Buffer
	live := &announced{want: "one", then: leave}
	err := h.Runtime.Attach(ctx, id, runtime.Attachment{Stdin: strings.NewReader("one\n"), Earlier: &earlier, Stdout: live})
	is(t, err, context.Canceled)
	if all := earlier.String() + live.got.String(); !strings.HasPrefix(all, "ready") {
		t.Errorf("shown: %q", all)
	}
	equal(t, "state", h.state(t, id), runtime.Running)

	earlier.Reset()
	var rest bytes.Buffer
	err = h.Runtime.Attach(t.Context(), id, runtime.Attachment{
		Stdin: strings.NewReader("two\n\x04"), Earlier: &earlier, Stdout: &rest, Size: &runtime.Size{Rows: 30, Columns: 90}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(earlier.String(), "ready") || !strings.Contains(earlier.String(), "one") || !strings.Contains(rest.String(), "two") {
		t.Errorf("shown again: %q, then %q", &earlier, &rest)
	}
	equal(t, "code", h.wait(t, id).Code, 42)
	equal(t, "output", h.read(t, id, runtime.Stdout, 0, false), earlier.String()+rest.String())
	equal(t, "stderr", h.read(t, id, runtime.Stderr, 0, false), "")
}

func attachAtOnce(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{Stdin: true}, "cat", "exit 3")
	if err := h.Runtime.Attach(t.Context(), id, runtime.Attachment{Stdin: strings.NewReader("at once")}); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 3)
	equal(t, "output", h.read(t, id, runtime.Stdout, 0, false), "at once")
}

func attachNowhere(t *testing.T, h Harness) {
	is(t, h.Runtime.Attach(t.Context(), "nobody", runtime.Attachment{}), runtime.ErrNotFound)
	id := h.running(t, runtime.Spec{})
	is(t, h.Runtime.Attach(t.Context(), id, runtime.Attachment{}), runtime.ErrNoInput)
	if err := h.Runtime.Stop(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	is(t, h.Runtime.Attach(t.Context(), id, runtime.Attachment{}), runtime.ErrNotRunning)
}
