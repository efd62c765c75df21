package lease

import "time"

// StopBy is when the worker's task is to be gone at the latest; false while
// nothing asks for its end. A worker that restarts looks here, because the
// effect that said so may not have been performed.
func (l Lease) StopBy() (time.Time, bool) {
	return l.worker.stopBy, !l.worker.stopBy.IsZero()
}
