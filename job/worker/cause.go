package worker

import (
	"errors"

	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// causeOf is why a task that ran ended as it did.
func causeOf(e runtime.Exit) leasev1.Cause {
	switch {
	case e.OOM:
		return leasev1.Cause_CAUSE_MEMORY
	case e.Full:
		return leasev1.Cause_CAUSE_DISK
	case e.Killed:
		return leasev1.Cause_CAUSE_KILLED
	case e.Lost:
		return leasev1.Cause_CAUSE_LOST
	case e.Code == 127 && e.Error != "": // without an error the program said 127 itself
		return leasev1.Cause_CAUSE_NOT_FOUND
	case e.Code == 126 && e.Error != "":
		return leasev1.Cause_CAUSE_NOT_EXECUTABLE
	case e.Code == 125 && e.Error != "":
		return leasev1.Cause_CAUSE_RUNTIME
	}
	return leasev1.Cause_CAUSE_UNSPECIFIED
}

// causeOfFailure is why a task never ran.
func causeOfFailure(err error) leasev1.Cause {
	for _, c := range []struct {
		err   error
		cause leasev1.Cause
	}{
		{errStopped, leasev1.Cause_CAUSE_UNSPECIFIED},
		{errGone, leasev1.Cause_CAUSE_LOST},
		{runtime.ErrPlatform, leasev1.Cause_CAUSE_PLATFORM},
		{runtime.ErrUnpack, leasev1.Cause_CAUSE_UNPACK},
		{runtime.ErrImage, leasev1.Cause_CAUSE_IMAGE},
		{runtime.ErrNoSpace, leasev1.Cause_CAUSE_NO_SPACE},
		{ErrContent, leasev1.Cause_CAUSE_CONTENT},
	} {
		if errors.Is(err, c.err) {
			return c.cause
		}
	}
	if journal.IsFull(err) {
		return leasev1.Cause_CAUSE_NO_SPACE
	}
	return leasev1.Cause_CAUSE_RUNTIME
}
