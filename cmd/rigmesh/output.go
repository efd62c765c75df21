package main

import (
	"io"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// output passes the task's output on: as it is into files and pipes, made safe onto a
// terminal.
type output struct{ out, err io.Writer }

func newOutput(k console) output {
	o := output{k.out, k.err}
	if isTerminal(k.out) {
		o.out = &safeWriter{w: k.out}
	}
	if isTerminal(k.err) {
		o.err = &safeWriter{w: k.err}
	}
	return o
}

func (o output) write(c *leasev1.Chunk) error {
	w := o.out
	if c.GetStderr() {
		w = o.err
	}
	_, err := w.Write(c.GetData())
	return err
}
