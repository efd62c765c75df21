package port

import "io"

// Splice passes on what comes from either of two connections to the other, until both
// directions have ended; closing them is the caller's then. When one of them fails both are
// cut, so that what was not an end of the data does not look like one.
func Splice(a, b Conn) error {
	ended := make(chan error, 2)
	go func() { ended <- carry(b, a) }()
	go func() { ended <- carry(a, b) }()
	var first error
	for range 2 {
		if err := <-ended; err != nil && first == nil {
			first = err
			cut(a)
			cut(b)
		}
	}
	return first
}

// carry passes on one direction, to its end.
func carry(to, from Conn) error {
	buf := make([]byte, MaxData)
	// Reader and writer alone: what a socket offers beside is for two sockets.
	if _, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf); err != nil {
		return err
	}
	return to.CloseWrite()
}

// cut ends a connection so that its other end can tell from an end of the data.
func cut(c Conn) {
	switch c := c.(type) {
	case *framed:
		c.cut()
		return
	case interface{ SetLinger(int) error }: // a socket
		_ = c.SetLinger(0)
	}
	_ = c.Close()
}
