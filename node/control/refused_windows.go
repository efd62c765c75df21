package control

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

// isRefused says whether nobody listens: the socket is stale, or went away just now.
func isRefused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
