package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/rigmesh/rigmesh/runtime"
)

// Dial connects to a port that the script serves.
func (m Memory) Dial(_ context.Context, id string, port uint16) (runtime.Conn, error) {
	t, err := m.task("dial", id)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	state, serves := t.state, t.serves[strconv.Itoa(int(port))]
	t.mu.Unlock()
	switch {
	case state != runtime.Running:
		err = runtime.ErrNotRunning
	case !serves:
		err = runtime.ErrNotListening
	default:
		return t.connect(), nil
	}
	return nil, fmt.Errorf("port %d of task %s: %w", port, id, err)
}

func (t *task) serve(port string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serves == nil {
		t.serves = map[string]bool{}
	}
	t.serves[port] = true
}

// echo is a connection whose other end gives back what comes.
type echo struct {
	*io.PipeReader
	*io.PipeWriter
}

var errEnded = errors.New("connection reset by the task")

// connect gives one end of a connection. It ends with the task.
func (t *task) connect() echo {
	r, w := io.Pipe()
	go func() {
		<-t.ended
		_ = w.CloseWithError(errEnded)
		_ = r.CloseWithError(errEnded)
	}()
	return echo{r, w}
}

func (e echo) CloseWrite() error { return e.PipeWriter.Close() }

func (e echo) Close() error { return errors.Join(e.PipeReader.Close(), e.PipeWriter.Close()) }
