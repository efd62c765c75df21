//go:build failpoints

package node

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/journal/fault"
)

const (
	// failAt names the step at which this process ends as if it were killed: fault.Step.
	failAt = "RIGMESH_FAIL_AT"
	// failPower, a number, makes that end a power cut: of what the journal had not
	// synced, what reaches the disk is drawn with this seed.
	failPower = "RIGMESH_FAIL_POWER"
)

// withFailPoints ends this process at the step that the environment names.
func withFailPoints(files journal.FS) (journal.FS, error) {
	text := os.Getenv(failAt)
	if text == "" {
		return files, nil
	}
	end, err := fault.ParseStep(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", failAt, err)
	}
	spill := func() error { return nil }
	if power := os.Getenv(failPower); power != "" {
		seed, err := strconv.ParseUint(power, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", failPower, err)
		}
		volatile := fault.NewVolatile(files)
		files, spill = volatile, func() error { return volatile.Spill(rand.New(rand.NewPCG(seed, 0))) }
	}
	return fault.Watch(files, func(at fault.Step) error {
		if at != end {
			return nil
		}
		if err := spill(); err != nil {
			return err
		}
		return killSelf()
	}), nil
}

// killSelf ends this process at once, as kill -9 does: nothing of it gets to clean up.
func killSelf() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {}
}
