package main

import (
	"errors"
	"os"
)

// mayLend says why this process cannot be a worker.
func mayLend() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return errors.New("rigmesh up needs root, because containerd does; as an ordinary user this machine can still rent: rigmesh run …")
}
