package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// tty is this terminal while a program in a task has it.
type tty struct {
	in, out *os.File  // nil: not a terminal
	w       io.Writer // to out
	screen  *screen   // what the program did to it
	getenv  func(string) string
	before  *term.State // how in was; nil: as it is
}

func newTTY(k console) *tty {
	t := &tty{getenv: k.getenv, w: k.out, screen: newScreen()}
	if f, ok := k.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.in = f
	}
	if f, ok := k.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.out, t.w = f, &safeWriter{w: f, rules: t.screen}
	}
	return t
}

// Write lets through what a program may do to its terminal.
func (t *tty) Write(p []byte) (int, error) { return t.w.Write(p) }

// earlier shows what was written before somebody looked: what it asks of a terminal has been
// answered, and would be typed.
func (t *tty) earlier(p []byte) error {
	t.screen.mute = true
	_, err := t.w.Write(p)
	t.screen.mute = false
	return err
}

// raw has every key go to the program.
func (t *tty) raw() error {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return fmt.Errorf("have this terminal pass every key on: %w", err)
	}
	t.before = before
	return nil
}

// restore makes the terminal what it was, whatever the program left it as.
func (t *tty) restore() {
	if t.out != nil {
		_, _ = t.out.WriteString(t.screen.undo())
	}
	if t.before != nil {
		forgetInput(t.in) // answers to what the program asked the terminal are not for the shell
		_ = term.Restore(int(t.in.Fd()), t.before)
	}
}

// size is that of this terminal; the usual one where there is none.
func (t *tty) size() *leasev1.WindowSize {
	for _, f := range []*os.File{t.out, t.in} {
		if f == nil {
			continue
		}
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return &leasev1.WindowSize{Rows: uint32(min(rows, 1<<16-1)), Columns: uint32(min(columns, 1<<16-1))}
		}
	}
	return &leasev1.WindowSize{Rows: 24, Columns: 80}
}

// environment is env, with the kind of this terminal unless it says another.
func (t *tty) environment(env []string) []string {
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		return env
	}
	kind := t.getenv("TERM")
	if kind == "" {
		kind = "xterm"
	}
	return append(env, "TERM="+kind)
}
