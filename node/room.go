package node

import (
	"fmt"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// roomy is a runtime that knows what of its disk is promised to tasks.
type roomy interface {
	Room() (runtime.Room, error)
}

// taskRoom is how many bytes a further task of this worker may have for its disk; 0: none
// can be made.
func (n *Node) taskRoom() uint64 {
	look := func() (runtime.Room, error) { return runtime.RoomUnder(n.cfg.DataDir) }
	if r, ok := n.parts.Runtime.(roomy); ok {
		look = r.Room
	}
	room, err := look()
	if err != nil {
		n.log.Warn("look at the room for tasks", "err", err)
		return 0
	}
	if room.Full() {
		return 0
	}
	return uint64(room.Bytes)
}

// diskConditions say when the disk of the data directory is full.
func (n *Node) diskConditions() []*controlv1.Condition {
	room, err := runtime.RoomUnder(n.cfg.DataDir)
	c := &controlv1.Condition{Code: "disk", Severity: "error", Remedy: "make room on the disk; nothing has to be started again"}
	switch {
	case err != nil:
		c.Sentence = err.Error()
		c.Remedy = "look at the disk, then start the node again"
	case room.NoFiles():
		c.Sentence = fmt.Sprintf("no more files fit on the disk under %s", n.cfg.DataDir)
	case room.Full():
		c.Sentence = fmt.Sprintf("the disk under %s is full", n.cfg.DataDir)
	default:
		return nil
	}
	if n.worker != nil {
		c.Sentence += ": no new work is taken"
	}
	return []*controlv1.Condition{c}
}
