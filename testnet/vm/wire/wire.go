// Package wire is what testnet/vm and its agent in the emulated machine say to each
// other, a line of JSON each.
package wire

// Port is the name of the virtio port between them.
const Port = "org.rigmesh.vm"

// Request asks for a shell script to be run.
type Request struct {
	ID     int // of the answer too; from 1
	Script string
}

// Answer is what came of a request or, with ID 0, says that the machine has started.
type Answer struct {
	ID     int
	Boot   string // the kernel's id of this start; with ID 0
	Output string // both streams
	Code   int    // exit code; negative: ended by a signal
}
