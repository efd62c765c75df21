//go:build linux

// Command rigmesh-init is PID 1 of every task. It runs as a user of its own,
// starts the job as the job's user without any capability, keeps the job's two
// outputs apart, forwards signals, reaps orphans, and records how the job ended
// where the job can neither read nor write. Started again in the same task, from
// outside, it becomes one more program beside the job.
package main

import (
	"fmt"
	"os"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// stage2 is the argument of the second stage: the process that becomes the job.
const stage2 = "become"

func main() {
	if len(os.Args) == 2 && os.Args[1] == stage2 {
		become() // ends in exec or exit
	}
	if len(os.Args) > 1 && os.Args[1] == record.EnterWord {
		enter(os.Args[2:]) // likewise
	}
	if len(os.Args) > 1 && own[os.Args[1]] != nil {
		os.Exit(carried(own[os.Args[1]](os.Args[2:])))
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "rigmesh-init: error: this is PID 1 of a rigmesh task and nothing else")
		os.Exit(2)
	}
	dir, err := os.Open(record.DirPath)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rigmesh-init: error:", err)
		os.Exit(125)
	}
	// By descriptor from here on: a job that owns the root folder may rename what is in it.
	held := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	exit := supervise(held)
	if err := record.Write(held, record.ExitFile, exit); err != nil {
		fmt.Fprintln(os.Stderr, "rigmesh-init: error: write the exit record:", err)
	}
	os.Exit(exit.Code) // what containerd reports then agrees with the record
}
