package node

import (
	"fmt"
	"os"
	"os/exec"
)

// watchdog starts the process that puts settings of devices back should this one be
// killed. It notices that by the end of its standard input, which nobody else holds.
func (n *Node) watchdog() (release func(), err error) {
	if n.parts.Guard == nil {
		return func() {}, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(exe, n.parts.Guard...)
	ownSession(cmd)
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the process that puts settings back after a crash: %w", err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if err := cmd.Wait(); err != nil {
			n.log.Warn("the process that puts settings back after a crash ended", "err", err)
		}
	}()
	return func() { _ = life.Close(); <-gone }, nil
}
