package node

import "github.com/rigmesh/rigmesh/p2p/blob"

// uploads is the store as the command line fills it. What a person is about to
// use must not be swept away before the job that needs it is submitted.
type uploads struct{ *blob.Store }

// Has says whether a blob is here, and keeps it here for now.
func (u uploads) Has(digest string) bool { return u.Touch(digest) == nil }
