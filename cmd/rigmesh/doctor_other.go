//go:build !linux

package main

import (
	"context"
	"math"

	"github.com/rigmesh/rigmesh/node/config"
)

// machineChecks: only Linux lends.
var machineChecks = []func(context.Context, config.Config) checkup{
	func(context.Context, config.Config) checkup {
		return good("system", "this machine can rent; only Linux lends GPUs")
	},
}

func freeDisk(string) (uint64, error) { return math.MaxInt64, nil }
