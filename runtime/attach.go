package runtime

import (
	"errors"
	"io"
)

// ErrNoInput: the task was started with neither Stdin nor Terminal.
var ErrNoInput = errors.New("task takes no input and has no terminal")

// EarlierBytes is how much of what was written to a terminal is shown to whoever attaches.
const EarlierBytes = 64 << 10

// Attachment is somebody at the input, and the terminal, of a task's own program.
type Attachment struct {
	// Stdin is read to its end, also ahead of what the program takes. A Read that blocks may
	// outlive the call. On a terminal its end means nothing; otherwise the program has read
	// all there is, from whomever. Nil: nothing is typed.
	Stdin io.Reader
	// Earlier takes, first, the end of what was written to the terminal before, and Stdout
	// what is written from then on; of a program without a terminal neither gets anything:
	// see Runtime.Output. Nil: nobody does.
	Earlier, Stdout io.Writer
	Size            *Size       // of the terminal from now on; nil: as it is
	Resized         <-chan Size // later ones; may be nil
}
