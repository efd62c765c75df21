//go:build linux

// Command vm tries rigmesh on a whole machine: a Debian of its own, emulated, with
// systemd, control groups of version 2 and a power switch. A requester outside talks to the
// worker inside through one wire. Each check prints one line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

func main() {
	o := options{}
	flag.StringVar(&o.rigmesh, "rigmesh", "bin/rigmesh", "the `program` to try")
	flag.StringVar(&o.cache, "cache", "bin/vm", "keep the machine's root file system in this `folder`")
	only := flag.String("run", "", "only checks whose name matches this `pattern`")
	flag.StringVar(&o.attempts, "attempts", "", "of the attempts to escape make only those whose name matches this `pattern`")
	flag.DurationVar(&o.asleep, "asleep", 10*time.Minute, "how long the machine is suspended")
	flag.BoolVar(&o.shell, "shell", false, "at the end run what comes in, line by line, in the machine; a line \"check PATTERN\" makes checks")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		err = run(ctx, o)
	}
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended): // it has said why
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "vm: error:", err)
		os.Exit(1)
	}
}

// options are what a person may choose.
type options struct {
	rigmesh, cache string
	attempts       string
	only           *regexp.Regexp
	asleep         time.Duration
	shell          bool
}

// run builds what the machine is made of, and goes where no network is.
func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("a file system with its users is made by root alone: run this with sudo")
	}
	made, err := build(ctx, o.cache)
	if err != nil {
		return fmt.Errorf("make the machine's root file system: %w", err)
	}
	if os.Getenv(inside) == "" {
		return apart(ctx)
	}
	if err := lay(); err != nil {
		return err
	}
	return try(ctx, o, made)
}

// try makes every check, on one machine, in order.
func try(ctx context.Context, o options, made image) (err error) {
	s, err := newSite(ctx, o, made)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	failed := s.checks(ctx, func(c check) bool { return c.always || o.only.MatchString(c.name) })
	if o.shell && s.guest != nil {
		failed += s.repeat(ctx, os.Stdin)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if failed > 0 {
		return fmt.Errorf("%d checks failed; the machine's console is in %s", failed, filepath.Join(o.cache, "console.log"))
	}
	return nil
}
