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
)

// sitting is this terminal, or these pipes, in front of a program in a task.
type sitting struct {
	k        console
	stdin    bool // pass ours on
	terminal bool // the program has one

	tty     *tty // this terminal; nil when the program has none
	x       *control.Execution
	sending sync.Mutex // one message at a time
}

// check says what cannot be before anybody is asked.
func (s *sitting) check() error {
	if s.terminal && s.stdin && !isTerminal(s.k.in) {
		return hint(usagef("standard input is not a terminal"), "leave -t out to pass a file or a pipe on")
	}
	return nil
}

// run runs a program in a job's task, and returns its exit code as an error.
func (s *sitting) run(ctx context.Context, client *control.Client, jobID string, start *leasev1.ExecStart) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start.Stdin = s.stdin
	if s.terminal {
		s.tty = newTTY(s.k)
		start.Terminal, start.Env = s.tty.size(), s.tty.environment(start.Env)
		if s.stdin {
			if err := s.tty.raw(); err != nil {
				return err
			}
		}
		defer s.tty.restore()
	}
	interrupts := make(chan os.Signal, 8)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	var err error
	if s.x, err = client.Exec(ctx, jobID, start); err != nil {
		return execProblem(err)
	}
	defer s.x.Close()
	go s.feed(cancel)
	go s.steer(ctx, cancel, interrupts)
	return s.show(ctx)
}

// send says something to the program; one that is over hears nothing.
func (s *sitting) send(f *leasev1.ExecFrame) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.x.Send(f)
}

// feed passes standard input on to its end. Input that breaks off ends the program, which
// would take it for whole.
func (s *sitting) feed(end context.CancelCauseFunc) {
	if !s.stdin {
		return
	}
	for {
		buf := make([]byte, job.MaxExecPiece)
		n, err := s.k.in.Read(buf)
		if n > 0 && s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Stdin{Stdin: buf[:n]}}) != nil {
			return
		}
		if err != nil && !errors.Is(err, io.EOF) {
			end(fmt.Errorf("read standard input: %w", err))
			return
		}
		if err != nil {
			_ = s.send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_StdinEnd{StdinEnd: &leasev1.StdinEnd{}}})
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
			return cmp.Or(context.Cause(ctx), execProblem(err)) // ours first: it is what broke the stream
		}
		switch r := r.Reply.(type) {
		case *leasev1.ExecReply_Stdout:
			_, err = out.out.Write(r.Stdout)
		case *leasev1.ExecReply_Stderr:
			_, err = out.err.Write(r.Stderr)
		case *leasev1.ExecReply_Ended:
			return programEnd(r.Ended)
		case *leasev1.ExecReply_Refused:
			return refusedExec(r.Refused)
		}
		if err != nil {
			return err
		}
	}
}

var errInterrupted = errors.New("interrupted twice")

// programEnd is the end of a program as this command's.
func programEnd(e *leasev1.ExecEnded) error {
	code := int(e.Code)
	switch {
	case e.TaskEnded:
		return &exitError{code, errors.New("the task has ended, and the program with it")}
	case code == 0:
		return nil
	default:
		return &exitError{code, nil}
	}
}
