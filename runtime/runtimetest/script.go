// Package runtimetest is an in-memory runtime for tests, and the conformance suite
// that every runtime passes.
//
// Both speak one small script language, an instruction per argument of a task's
// command, run in order:
//
//	print TEXT       TEXT and a newline to standard output
//	eprint TEXT      the same to standard error
//	env NAME         the value of an environment variable to standard output
//	sleep DURATION   "1.5s"
//	exit CODE        end
//	cat              standard input to standard output, if there is any
//	copy FROM TO     two paths in the task, through its mounts
//	await PATH       until a file is there
//	serve PORT       from here on, give back whatever comes to a TCP port
//	ignore-term      SIGTERM does nothing from here on
//	on-term CODE     SIGTERM ends the task with CODE from here on
//	on-warn TEXT     SIGUSR1 prints TEXT from here on, and ends the sleep it finds
//
// A script that runs to its end exits with 0. Memory runs it directly, Shell turns it
// into one for /bin/sh.
package runtimetest

import (
	"fmt"
	"strings"
	"time"
)

// Shell gives the command that runs a script in an image with /bin/sh, cp, nc and sleep.
func Shell(script []string) []string {
	var lines []string
	for _, instruction := range script {
		verb, rest, _ := strings.Cut(instruction, " ")
		first, second, _ := strings.Cut(rest, " ")
		switch verb {
		case "print":
			lines = append(lines, "echo "+quote(rest))
		case "eprint":
			lines = append(lines, "echo "+quote(rest)+" >&2")
		case "env":
			lines = append(lines, "echo \"$"+rest+"\"")
		case "sleep":
			d, err := time.ParseDuration(rest)
			if err != nil {
				panic(fmt.Sprintf("runtimetest: %q: %v", instruction, err))
			}
			// In the background, so that a trap runs at once.
			lines = append(lines, fmt.Sprintf("sleep %g & wait $!", d.Seconds()))
		case "cat":
			lines = append(lines, "cat")
		case "exit":
			lines = append(lines, "exit "+rest)
		case "copy":
			lines = append(lines, "cp "+quote(first)+" "+quote(second)+" || exit 1")
		case "await":
			lines = append(lines, "while [ ! -e "+quote(rest)+" ]; do sleep 0.02; done")
		case "serve":
			lines = append(lines, "nc -ll -p "+rest+" -e cat &", "while ! nc 127.0.0.1 "+rest+" </dev/null; do sleep 0.02; done")
		case "ignore-term":
			lines = append(lines, "trap '' TERM")
		case "on-warn":
			lines = append(lines, "trap "+quote("echo "+quote(rest))+" USR1")
		case "on-term":
			lines = append(lines, "trap 'exit "+rest+"' TERM")
		default:
			panic(fmt.Sprintf("runtimetest: no instruction %q", instruction))
		}
	}
	return []string{"/bin/sh", "-c", strings.Join(lines, "\n")}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
