package node

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var bootID = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
})

// sinceBoot reads CLOCK_BOOTTIME, which counts suspends too, unlike Go's own
// monotonic clock.
func sinceBoot() (boot string, up time.Duration, err error) {
	if boot, err = bootID(); err != nil {
		return "", 0, err
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0, err
	}
	return boot, time.Duration(ts.Nano()), nil
}
