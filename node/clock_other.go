//go:build !linux

package node

import "time"

var processStart = time.Now()

// sinceBoot counts from this process's start: each process is a boot of its own.
func sinceBoot() (boot string, up time.Duration, err error) {
	return processStart.Format(time.RFC3339Nano), time.Since(processStart), nil
}
