package runtime

import (
	"errors"
	"io"
)

// ErrNotRunning: a program can only be run in a task that runs; this one has not begun, is
// frozen or has ended.
var ErrNotRunning = errors.New("task is not running")

// Exec is one more program in a task, beside the one it was started with.
type Exec struct {
	Program Program
	Args    []string // looked up in PATH of the task
	Env     []string // NAME=value, over the task's
	Workdir string   // empty: the task's

	// Stdin is read to its end, also ahead of what the program takes. A Read that blocks
	// may outlive the call. Nil: the program finds nothing to read.
	Stdin io.Reader
	// Stdout and Stderr take what the program writes, each from one goroutine; nil: nobody
	// does. On a terminal all of it comes on Stdout.
	Stdout, Stderr io.Writer
	// Terminal is the first size of the program's terminal; nil: it has none.
	Terminal *Size
	Resized  <-chan Size // later ones; may be nil
	Signals  <-chan int  // to send to the program, as Linux numbers them; may be nil
}

// Program is what Exec runs.
type Program uint8

// The programs. Those of the runtime's own run in the task, as its user, wherever an image
// has nothing of the kind; package carry says what they do.
const (
	Command Program = iota // Exec.Args
	Pack                   // Exec.Args is a path: packs it onto standard output
	Unpack                 // Exec.Args are a path and a name: unpacks standard input there
)

// Size is that of a terminal, in characters.
type Size struct{ Rows, Columns uint16 }
