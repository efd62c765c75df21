//go:build !linux || !cgo

package main

func main() { panic("rigmesh-nvml loads NVIDIA's libraries, which takes Linux and cgo") }
