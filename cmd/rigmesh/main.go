// Command rigmesh rents GPUs from other people's machines, and lends yours.
//
// Each subcommand is one file. They speak to a node through its control socket; up and the
// hidden node command are that node.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// version is set by the linker.
var version = "unknown"

func main() {
	console := console{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	err := run(context.Background(), console, os.Args)
	os.Exit(exitCode(os.Stderr, err))
}

// exitCode tells the person what went wrong, and the shell in one number: 0 done, 1 failed,
// 2 used wrongly; run adds the job's own code, 124, 125 and 130.
func exitCode(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var silent *exitError
	if errors.As(err, &silent) && silent.err == nil {
		return silent.code
	}
	for line := range strings.Lines(err.Error()) { // several problems are several errors; an indented line goes on
		if !strings.HasPrefix(line, " ") {
			line = "rigmesh: error: " + line
		}
		fmt.Fprintln(w, strings.TrimRight(line, "\n"))
	}
	var hinted *hintError
	if errors.As(err, &hinted) {
		fmt.Fprintf(w, "rigmesh: hint: %s\n", hinted.hint)
	}
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return 2
	case silent != nil:
		return silent.code
	default:
		return 1
	}
}
