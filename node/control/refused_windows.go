package control

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

// isRefused says whether nobody is at the other end: the socket is stale, or its
// process went away just now.
func isRefused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, fs.ErrNotExist)
}
