//go:build !linux

package main

import "errors"

// mayLend says why this process cannot be a worker.
func mayLend() error {
	return errors.New("rigmesh up needs Linux, because it runs Linux containers; this machine can still rent: rigmesh run …")
}
