package runtime

import (
	"errors"
	"io"
)

// ErrNotListening: nothing in the task listens on that port.
var ErrNotListening = errors.New("nothing in the task listens there")

// Conn is a connection to a port inside a task. Reading and writing may go on at the same
// time; Close ends both.
type Conn interface {
	io.ReadWriteCloser
	// CloseWrite says that nothing more will be written; Read goes on.
	CloseWrite() error
}
