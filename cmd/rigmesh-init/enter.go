//go:build linux

package main

import (
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// enter turns this process, which was put into the task from outside with the init's own
// rights, into one more program of the job's user. Why that cannot be goes to its standard
// error: no descriptor of ours comes through.
func enter(words []string) {
	goruntime.LockOSThread() // as in become
	job, err := record.ParseWords(words)
	code := 125
	if err == nil {
		share()
		code, err = turnInto(job)
	}
	fmt.Fprintln(os.Stderr, "rigmesh:", err)
	os.Exit(code)
}

// share lets the job's user open /dev/stdin and its like again: they are pipes or a
// terminal of the init's. What is neither, such as the null device, is open to all.
func share() {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		_ = f.Chmod(0o666)
	}
}
