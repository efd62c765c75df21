//go:build !linux

// Package daemon is containerd inside this binary, which takes Linux.
package daemon

import (
	"context"
	"errors"
)

// Subcommand is the first argument that makes this binary run the daemon.
const Subcommand = "containerd"

var errLinux = errors.New("containerd takes Linux")

// Main always fails.
func Main(context.Context, []string) error { return errLinux }

// Run always fails.
func Run(context.Context, string, string) error { return errLinux }
