package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/urfave/cli/v2"
)

// sitting is this terminal, or these pipes, in front of a program in a task: of one after the
// other, where the first was not there yet, or has ended and the job runs again.
type sitting struct {
	k        console
	stdin    bool    // pass ours on
	terminal bool    // the program has one
	leave    *leaver // keys that leave it alone; nil: none do

	attached bool // to the task's own program
	tty      *tty // this terminal; nil when the program has none
	x        *control.Execution
	sending  sync.Mutex   // one message at a time
	typed    <-chan typed // what comes from standard input; nil until it is read
}

// typed is a piece of standard input, or why there are no more: io.EOF at its end.
type typed struct {
	bytes []byte
	err   error
}

// sittingOf is one as a command's flags have it.
func sittingOf(c *cli.Context, k console, stdin, terminal bool) (*sitting, error) {
	s := &sitting{k: k, stdin: stdin, terminal: terminal}
	if !stdin || !terminal {
		return s, nil
	}
	if !isTerminal(k.in) {
		return nil, hint(usagef("standard input is not a terminal"), "leave -t out to pass a file or a pipe on")
	}
	var err error
	s.leave, err = parseLeaver(c.String("detach-keys"))
	return s, err
}

// run runs a program in a job's task, and returns its exit code as an error.
func (s *sitting) run(ctx context.Context, client *control.Client, jobID string, start *leasev1.ExecStart) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start.Stdin = s.stdin
	s.attached = start.Program == leasev1.ExecProgram_EXEC_PROGRAM_ATTACH
	if s.terminal {
		s.tty = newTTY(s.k)
		start.Terminal = s.tty.size()
		if !s.attached {
			start.Env = s.tty.environment(start.Env)
		}
		if s.stdin {
			if err := s.tty.raw(); err != nil {
				return err
			}
		}
		defer s.tty.restore()
	}
	interrupts := make(chan os.Signal, 8)
	if !s.attached { // or they mean the job
		signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(interrupts)
	}
	var err error
	if s.x, err = client.Exec(ctx, jobID, start); err != nil {
		return execProblem(err)
	}
	defer s.x.Close()
	var sitting sync.WaitGroup
	defer sitting.Wait()
	defer cancel(nil)
	sitting.Go(func() { s.feed(ctx, cancel) })
	sitting.Go(func() { s.steer(ctx, cancel, interrupts) })
	return s.show(ctx)
}

// send says something to the program; one that is over hears nothing.
func (s *sitting) send(f *leasev1.ExecFrame) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.x.Send(f)
}

// read begins to read standard input, once: a read cannot be called off, and what it brings
// after the end of a program is for the next.
func (s *sitting) read() <-chan typed {
	if s.typed != nil || !s.stdin {
		return s.typed
	}
	pieces := make(chan typed)
	s.typed = pieces
	go func() {
		for {
			buf := make([]byte, job.MaxExecPiece/2) // keys that were held back may come on top
			n, err := s.k.in.Read(buf)
			if n > 0 {
				pieces <- typed{bytes: buf[:n]}
			}
			for err != nil {
				pieces <- typed{err: err}
			}
		}
	}()
	return pieces
}

// feed passes standard input on to its end. Input that breaks off ends the program, which
// would take it for whole.
func (s *sitting) feed(ctx context.Context, end context.CancelCauseFunc) {
	pieces := s.read()
	for {
		var piece typed
		select {
		case <-ctx.Done():
			return
		case piece = <-pieces:
		}
		if errors.Is(piece.err, io.EOF) {
			_ = s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_StdinEnd{StdinEnd: &leasev1.StdinEnd{}}})
			return
		}
		if piece.err != nil {
			end(fmt.Errorf("read standard input: %w", piece.err))
			return
		}
		b, left := s.leave.pass(piece.bytes)
		if len(b) > 0 && s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Stdin{Stdin: b}}) != nil {
			return
		}
		if left {
			_ = s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Detach{Detach: &leasev1.Detach{}}})
			return
		}
	}
}

// steer passes signals and sizes on. The second interrupt ends the sitting.
func (s *sitting) steer(ctx context.Context, end context.CancelCauseFunc, interrupts <-chan os.Signal) {
	var sizes <-chan *leasev1.WindowSize
	if s.tty != nil {
		sizes = s.tty.sizes(ctx)
	}
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case size := <-sizes:
			_ = s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Size{Size: size}})
		case sig := <-interrupts:
			if n++; n > 1 {
				end(errInterrupted)
				return
			}
			number := syscall.SIGTERM
			if sig == os.Interrupt {
				number = syscall.SIGINT
			}
			_ = s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Signal{Signal: uint32(number)}})
		}
	}
}

// show prints what the program writes until its end.
func (s *sitting) show(ctx context.Context) error {
	out := newOutput(s.k)
	if s.tty != nil {
		out.out = s.tty
	}
	for {
		r, err := s.x.Receive()
		if err != nil {
			if errors.Is(context.Cause(ctx), errInterrupted) {
				return &exitError{exitInterrupted, nil}
			}
			if !s.attached {
				err = execProblem(err)
			}
			return cmp.Or(context.Cause(ctx), err) // ours first: it is what broke the stream
		}
		switch r := r.Reply.(type) {
		case *leasev1.ExecReply_Earlier:
			if s.tty != nil {
				err = s.tty.earlier(r.Earlier)
			}
		case *leasev1.ExecReply_Stdout:
			_, err = out.out.Write(r.Stdout)
		case *leasev1.ExecReply_Stderr:
			_, err = out.err.Write(r.Stderr)
		case *leasev1.ExecReply_Ended:
			return s.ended(r.Ended)
		case *leasev1.ExecReply_Refused:
			return refusedExec(r.Refused)
		}
		if err != nil {
			return err
		}
	}
}

var errInterrupted = errors.New("interrupted twice")

var (
	// errDetached: whoever sat here has left, and what runs goes on.
	errDetached = errors.New("left alone")
	// errLetGo: the task did not wait for this terminal.
	errLetGo = errors.New("the task went on without this terminal: what it wrote was not taken in time")
)

// ended is the end of a program, or of a sitting in front of it, as this command's.
func (s *sitting) ended(e *leasev1.ExecEnded) error {
	code := int(e.Code)
	switch {
	case e.Detached:
		return errDetached
	case s.attached && !e.TaskEnded:
		return errLetGo
	case s.attached:
		return nil // the job's end says the rest
	case e.TaskEnded:
		return &exitError{code, errors.New("the task has ended, and the program with it")}
	case code == 0:
		return nil
	default:
		return &exitError{code, nil}
	}
}
