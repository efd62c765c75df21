//go:build !linux

package control

import "fmt"

// maxSocketPath is what fits into a socket address on the systems that allow the least.
const maxSocketPath = 103

// shortPath refuses a path that does not fit into a socket address: without
// /proc there is no shorter name for it.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) > maxSocketPath {
		return "", nil, fmt.Errorf("socket path %s has %d bytes, %d are possible: choose a data directory with a shorter path", path, len(path), maxSocketPath)
	}
	return path, func() {}, nil
}
