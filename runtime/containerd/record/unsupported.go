//go:build !linux

// Package record is what the runtime and the init of a task tell each other. Both take Linux.
package record
