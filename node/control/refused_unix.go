//go:build unix

package control

import (
	"errors"
	"syscall"
)

// isRefused says whether nobody is at the other end: the socket is stale, or its
// process went away just now.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
