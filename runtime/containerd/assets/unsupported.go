//go:build !linux

// Package assets carries programs for Linux, on Linux.
package assets
