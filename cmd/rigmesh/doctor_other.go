//go:build !linux

package main

import (
	"context"

	"github.com/rigmesh/rigmesh/node/config"
)

// machineChecks: only Linux lends.
var machineChecks = []func(context.Context, config.Config) checkup{
	func(context.Context, config.Config) checkup {
		return good("system", "this machine can rent; only Linux lends GPUs")
	},
}
