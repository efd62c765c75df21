//go:build !failpoints

package node

import "github.com/rigmesh/rigmesh/job/journal"

// withFailPoints is the place where a build for tests puts its fail points: here there are none.
func withFailPoints(files journal.FS) (journal.FS, error) { return files, nil }
