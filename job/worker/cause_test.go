package worker

import (
	"errors"
	"fmt"
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

func TestEveryEndHasItsOwnCause(t *testing.T) {
	for want, e := range map[leasev1.Cause]runtime.Exit{
		leasev1.Cause_CAUSE_UNSPECIFIED:    {Code: 127},
		leasev1.Cause_CAUSE_MEMORY:         {Code: 137, Signal: 9, OOM: true},
		leasev1.Cause_CAUSE_KILLED:         {Code: 137, Signal: 9, Killed: true},
		leasev1.Cause_CAUSE_DISK:           {Code: 1, Full: true},
		leasev1.Cause_CAUSE_NOT_FOUND:      {Code: 127, Error: "x: not found"},
		leasev1.Cause_CAUSE_NOT_EXECUTABLE: {Code: 126, Error: "x: permission denied"},
		leasev1.Cause_CAUSE_RUNTIME:        {Code: 125, Error: "read what to run"},
		leasev1.Cause_CAUSE_LOST:           {Code: 125, Error: "vanished", Lost: true},
	} {
		if got := causeOf(e); got != want {
			t.Errorf("%+v: %s, want %s", e, got, want)
		}
	}
	if got := causeOf(runtime.Exit{Code: 137, Signal: 9}); got != leasev1.Cause_CAUSE_UNSPECIFIED {
		t.Errorf("killed itself: %s", got)
	}
}

func TestEveryFailureHasItsOwnCause(t *testing.T) {
	for want, err := range map[leasev1.Cause]error{
		leasev1.Cause_CAUSE_UNSPECIFIED: errStopped,
		leasev1.Cause_CAUSE_LOST:        errGone,
		leasev1.Cause_CAUSE_PLATFORM:    runtime.ErrPlatform,
		leasev1.Cause_CAUSE_UNPACK:      runtime.ErrUnpack,
		leasev1.Cause_CAUSE_IMAGE:       runtime.ErrImage,
		leasev1.Cause_CAUSE_NO_SPACE:    runtime.ErrNoSpace,
		leasev1.Cause_CAUSE_CONTENT:     ErrContent,
		leasev1.Cause_CAUSE_RUNTIME:     errors.New("anything else"),
	} {
		if got := causeOfFailure(fmt.Errorf("image: %w", err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
