//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/rigmesh/rigmesh/runtime/carry"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// own are the init's own programs beside a job: as the job's user, and as confined.
var own = map[string]func(args []string) error{record.PackWord: pack, record.UnpackWord: unpack}

var errWords = errors.New("other arguments are wanted")

func pack(args []string) error {
	if len(args) != 1 {
		return errWords
	}
	return carry.Pack(os.Stdout, args[0], leftOut("neither a file, a folder nor a link"))
}

// unpack needs no bounds: the task's disk has them.
func unpack(args []string) error {
	if len(args) != 2 {
		return errWords
	}
	return carry.Unpack(os.Stdin, args[0], args[1], carry.Options{Bytes: math.MaxInt64, Entries: math.MaxInt, OutsideLinks: true})
}

func leftOut(why string) func(name string) {
	return func(name string) { fmt.Fprintf(os.Stderr, "rigmesh: left out: %s, %s\n", name, why) }
}

// carried is the exit code of one of them.
func carried(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "rigmesh:", err)
	return 1
}
