//go:build !linux

package main

func main() { panic("rigmesh-init is PID 1 of a task, which takes Linux") }
