//go:build linux && cgo && !faults

package main

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// openLibrary is the driver's own library.
func openLibrary() *library { return &library{Interface: nvml.New()} }

// cudaLibrary is the driver's own library.
func cudaLibrary() string { return "libcuda.so.1" }
