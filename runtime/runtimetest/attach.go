package runtimetest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/rigmesh/rigmesh/runtime"
)

// endOfText is what Ctrl-D types: on a terminal the end of what there is to read.
const endOfText = 0x04

// keyboard is the input of a task, from whoever attaches to it.
type keyboard struct {
	*io.PipeReader
	to       *io.PipeWriter
	terminal bool
}

func newKeyboard(terminal bool) *keyboard {
	r, w := io.Pipe()
	return &keyboard{r, w, terminal}
}

// Write types.
func (k *keyboard) Write(p []byte) (int, error) {
	for i, b := range p {
		if k.terminal && b == endOfText {
			if _, err := k.to.Write(p[:i]); err != nil {
				return 0, err
			}
			return len(p), k.to.Close()
		}
	}
	return k.to.Write(p)
}

// Attach connects to the input of a script.
func (m Memory) Attach(ctx context.Context, id string, a runtime.Attachment) error {
	t, err := m.task("attach to", id)
	if err != nil {
		return err
	}
	switch k, ok := t.stdin.(*keyboard); {
	case t.status().State == runtime.Exited:
		err = runtime.ErrNotRunning
	case !ok:
		err = runtime.ErrNoInput
	default:
		err = t.sit(ctx, k, a)
	}
	if err != nil {
		return fmt.Errorf("attach to task %s: %w", id, err)
	}
	return nil
}

// sit types what there is to type, and shows what is written meanwhile.
func (t *task) sit(ctx context.Context, k *keyboard, a runtime.Attachment) error {
	var shown sync.WaitGroup
	if k.terminal {
		t.mu.Lock()
		before := t.output[runtime.Stdout]
		t.mu.Unlock()
		if a.Earlier != nil && len(before) > 0 {
			if _, err := a.Earlier.Write(before[max(0, len(before)-runtime.EarlierBytes):]); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		shown.Go(func() {
			r := &reader{ctx: ctx, cancel: cancel, task: t, stream: runtime.Stdout, offset: int64(len(before)), follow: true}
			_, _ = io.Copy(orDiscard(a.Stdout), r)
		})
	}
	if a.Stdin != nil { // not before: what answers it was not written earlier
		go func() {
			if _, err := io.Copy(k, a.Stdin); err == nil && !k.terminal {
				_ = k.to.Close()
			}
		}()
	}
	select {
	case <-t.ended:
		shown.Wait()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
