//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// show is one run of the demo.
type show struct {
	lab       *lab.Lab
	tree      string   // folder whose texts are the job's input
	bootstrap string   // the one address
	nodes     []string // names, and data directories, of what runs
	titles    int
}

// title begins a step.
func (s *show) title(text string) {
	s.titles++
	fmt.Printf("\n%s %d. %s\n", strings.Repeat("─", 3), s.titles, text)
}

// run runs one command in the foreground, as typed, and gives its exit code.
func (s *show) run(ctx context.Context, args ...string) (int, error) {
	fmt.Println("\n$", typed(args))
	cmd := s.lab.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return exitCode(ctx, cmd.Run())
}

// must is run for commands that are to succeed.
func (s *show) must(ctx context.Context, args ...string) error {
	code, err := s.run(ctx, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("rigmesh %s: exit code %d", args[0], code)
	}
	return err
}

// output runs a command silently and gives what it printed.
func (s *show) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := s.lab.Command(ctx, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("rigmesh %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out, nil
}

func exitCode(ctx context.Context, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	default:
		return 0, err
	}
}

// typed is a command as a person would write it in a shell.
func typed(args []string) string {
	var b strings.Builder
	b.WriteString("rigmesh")
	for _, arg := range args {
		b.WriteByte(' ')
		b.WriteString(quoted(arg))
	}
	return b.String()
}

func quoted(arg string) string {
	plain := strings.IndexFunc(arg, func(r rune) bool { return strings.ContainsRune(" \t\n'\"$*;&|<>()`\\#!?[]{}~", r) }) < 0
	if plain && arg != "" {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
