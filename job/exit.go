package job

import leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

// causes says each cause in a sentence that both sides read, and what the requester can
// do about it.
var causes = map[leasev1.Cause]string{
	leasev1.Cause_CAUSE_MEMORY:         "it ran out of memory (raise --memory)",
	leasev1.Cause_CAUSE_DISK:           "its disk was full (raise --disk)",
	leasev1.Cause_CAUSE_KILLED:         "it was killed, because it did not stop when asked to",
	leasev1.Cause_CAUSE_NOT_FOUND:      "the image has no such program (check the command)",
	leasev1.Cause_CAUSE_NOT_EXECUTABLE: "the program cannot be executed (check its mode and platform)",
	leasev1.Cause_CAUSE_PLATFORM:       "the image has nothing for this platform (see --platform)",
	leasev1.Cause_CAUSE_IMAGE:          "the image is not usable",
	leasev1.Cause_CAUSE_UNPACK:         "the image cannot be unpacked: a layer is broken",
	leasev1.Cause_CAUSE_CONTENT:        "an input is not usable",
	leasev1.Cause_CAUSE_NO_SPACE:       "the worker's disk has no room for it (ask for less with --disk, or another worker)",
	leasev1.Cause_CAUSE_RUNTIME:        "the worker could not run it",
	leasev1.Cause_CAUSE_LOST:           "it was lost: the worker's machine was restarted, or something outside ended it",
}

// CauseSentence says why a task ended as it did, in words that begin small and end
// without a stop; empty when its program ended by itself. A cause of a later version
// says nothing.
func CauseSentence(e *leasev1.Exit) string {
	if s, ok := causes[e.GetCause()]; ok {
		return s
	}
	if e.GetOom() {
		return causes[leasev1.Cause_CAUSE_MEMORY]
	}
	return ""
}
