package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/urfave/cli/v2"
)

// usageError is a command that was typed wrongly.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// hintError carries what to do about an error.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func hint(err error, format string, args ...any) error {
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// exitError gives an exit code of its own; without an error inside there is
// nothing left to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// badValue is how the flag package words a value that does not read: value, flag.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): `)

// flagProblem turns what the flag parser says into our words, with the nearest flag
// and with where to read more.
func flagProblem(c *cli.Context, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		name, _, _ = strings.Cut(name, "=")
		name = strings.TrimLeft(name, "-")
		text = fmt.Sprintf("unknown flag %s%s", dashed(name), nearestFlag(c, name))
	} else if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		text = fmt.Sprintf("flag %s wants a value", dashed(strings.TrimLeft(name, "-")))
	} else if m := badValue.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("flag %s does not take %s", dashed(m[2]), m[1])
	}
	return hint(&usageError{errors.New(text)}, "%s --help lists the flags", c.Command.HelpName)
}

func nearestFlag(c *cli.Context, name string) string {
	var known []string
	for _, f := range c.Command.Flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				known = append(known, n)
			}
		}
	}
	if n := config.Nearest(name, known); n != "" {
		return "; did you mean --" + n + "?"
	}
	return ""
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// explain adds what to do about errors that every command meets.
func explain(err error) error {
	var hinted *hintError
	if err == nil || errors.As(err, &hinted) {
		return err
	}
	var locked *control.LockedError
	switch {
	case errors.As(err, &locked):
		return hint(err, "rigmesh status says what it does, rigmesh down stops it")
	case errors.Is(err, control.ErrNotRunning):
		return hint(err, "rigmesh run, offers and attach start one; rigmesh up is one that lends GPUs")
	case errors.Is(err, control.ErrAmbiguous):
		return hint(err, "give more of the id; rigmesh ps -a shows whole ids with --json")
	case errors.Is(err, control.ErrNotFound):
		return hint(err, "rigmesh ps -a lists the jobs, rigmesh receipt list the receipts")
	case errors.Is(err, control.ErrOtherVersion):
		return hint(err, "rigmesh down and then this command start one of this version; tasks that run go on")
	case errors.Is(err, control.ErrLost):
		return hint(err, "DATADIR/node.log says why; a job that has a lease goes on: rigmesh attach JOB")
	}
	return err
}
