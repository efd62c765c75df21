//go:build !linux

package node

import (
	"time"

	"github.com/rigmesh/rigmesh/job/clock"
)

var processStart = time.Now()

// readClocks counts from this process's start: each process is a boot of its own. Only
// workers need to know what was slept, and these run on Linux.
func readClocks() (clock.Reading, error) {
	up := time.Since(processStart)
	return clock.Reading{Boot: processStart.Format(time.RFC3339Nano), Up: up, Awake: up, Wall: time.Now()}, nil
}
