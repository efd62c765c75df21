//go:build !linux

package main

import "github.com/urfave/cli/v2"

// containerdCommand is missing where there are no Linux containers.
func containerdCommand(console) *cli.Command { return nil }
