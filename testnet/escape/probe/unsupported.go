//go:build !linux

// Command probe runs inside a task and tries to get out of it. Tasks take Linux.
package main

func main() { panic("tasks take Linux") }
