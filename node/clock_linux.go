package node

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/job/clock"
)

var bootID = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
})

// readClocks reads CLOCK_BOOTTIME, which counts suspends too, and CLOCK_MONOTONIC,
// which does not.
func readClocks() (r clock.Reading, err error) {
	if r.Boot, err = bootID(); err != nil {
		return r, err
	}
	if r.Up, err = gettime(unix.CLOCK_BOOTTIME); err != nil {
		return r, err
	}
	r.Awake, err = gettime(unix.CLOCK_MONOTONIC)
	r.Wall = time.Now()
	return r, err
}

func gettime(id int32) (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(id, &ts)
	return time.Duration(ts.Nano()), err
}
