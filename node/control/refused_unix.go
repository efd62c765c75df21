//go:build unix

package control

import (
	"errors"
	"syscall"
)

// isRefused says whether nobody listens: the socket is stale, or went away just now.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
