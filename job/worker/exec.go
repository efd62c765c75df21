package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const (
	// maxExecs is how many programs may run beside the job of one lease.
	maxExecs = 16
	// endsWithin is how long a program that was killed waits for word that its task has
	// ended: that is what killed it then.
	endsWithin = 2 * time.Second
	// killedCode is the exit code of a program that KILL ended.
	killedCode = 128 + 9
)

// Exec runs one more program in the task of a lease, for its requester, or connects that to
// the task's own. start was the first frame on link. It ends with the program, the link or
// the lease; a program that is left alone goes on.
func (w *Worker) Exec(ctx context.Context, start *leasev1.ExecStart, link session.Link) error {
	s, err := w.tenancy(start.GetLeaseId(), link.Peer())
	if err != nil {
		return err
	}
	p := &program{s: s, link: link, signals: make(chan int), resized: make(chan runtime.Size), alone: make(chan struct{})}
	if s.execs.Add(1) > maxExecs {
		s.execs.Add(-1)
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_BUSY, fmt.Errorf("%d programs run in this task already", maxExecs))
	}
	done := make(chan error, 1)
	go func() {
		err := p.begin(ctx, start)
		s.execs.Add(-1)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-p.alone:
		return nil
	}
}

// begin runs the program unless it cannot be.
func (p *program) begin(ctx context.Context, start *leasev1.ExecStart) error {
	if err := job.CheckExec(start); err != nil {
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_INVALID, err)
	}
	switch phase := p.s.board.phase(); {
	case phase == leasev1.Phase_PHASE_FROZEN:
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_FROZEN, errStandsStill)
	case phase != leasev1.Phase_PHASE_RUNNING:
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_NOT_RUNNING, notRunning(phase))
	}
	return p.run(ctx, start)
}

// errStandsStill: nothing can be begun in a frozen task.
var errStandsStill = errors.New("the task stands still")

// notRunning says in words where a task stands that does not run.
func notRunning(p leasev1.Phase) error {
	if p > leasev1.Phase_PHASE_RUNNING {
		return errors.New("the task has ended")
	}
	return errors.New("the task has not begun yet")
}

// program is one program beside the job of a lease.
type program struct {
	s       *tenancy
	signals chan int
	resized chan runtime.Size
	alone   chan struct{} // closed when it was left alone

	mu   sync.Mutex
	link session.Link // nil: nobody listens
}

func (p *program) run(ctx context.Context, start *leasev1.ExecStart) error {
	caller := ctx
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e := runtime.Exec{
		Program: programs[start.Program], Args: start.Args, Env: start.Env, Workdir: start.Workdir, Signals: p.signals, Resized: p.resized,
		Stdout: pieceWriter{p, stdout}, Stderr: pieceWriter{p, stderr},
	}
	if t := start.Terminal; t != nil {
		e.Terminal = &runtime.Size{Rows: uint16(t.Rows), Columns: uint16(t.Columns)}
	}
	unread, stdin := io.Pipe()
	defer unread.Close()
	if start.Stdin {
		e.Stdin = unread
	}
	go func() {
		err := p.receive(ctx, stdin)
		p.s.log.Debug("exec stream", "err", err)
		if !errors.Is(err, errLeftAlone) || start.Program == leasev1.ExecProgram_EXEC_PROGRAM_ATTACH {
			cancel()
		}
	}()
	go p.guard(ctx, caller, cancel)
	if start.Program == leasev1.ExecProgram_EXEC_PROGRAM_ATTACH {
		return p.attach(ctx, e)
	}
	exit, err := p.s.w.Runtime.Exec(ctx, taskID(p.s.id), e)
	return p.ended(ctx, exit, err)
}

// guard ends the program with its lease, and with its caller unless that left it alone.
func (p *program) guard(ctx, caller context.Context, end func()) {
	defer end()
	select {
	case <-p.s.session.Done():
		return
	case <-ctx.Done():
		return
	case <-p.alone:
	case <-caller.Done():
		if p.listener() != nil {
			return
		}
	}
	select {
	case <-p.s.session.Done():
	case <-ctx.Done():
	}
}

// attach connects the caller to the task's own program.
func (p *program) attach(ctx context.Context, e runtime.Exec) error {
	a := runtime.Attachment{Earlier: pieceWriter{p, earlier}, Stdout: e.Stdout, Stdin: e.Stdin, Size: e.Terminal, Resized: e.Resized}
	err := p.s.w.Runtime.Attach(ctx, taskID(p.s.id), a)
	switch {
	case errors.Is(err, runtime.ErrNoInput):
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_INVALID, runtime.ErrNoInput)
	case err == nil && !p.leaseOver():
		return p.end(0, p.taskEnds(ctx))
	}
	return p.ended(ctx, runtime.Exit{}, err)
}

// programs are what runs for each word of a request.
var programs = map[leasev1.ExecProgram]runtime.Program{
	leasev1.ExecProgram_EXEC_PROGRAM_PACK: runtime.Pack, leasev1.ExecProgram_EXEC_PROGRAM_UNPACK: runtime.Unpack,
}

// ended says how the program did, to whoever is still there.
func (p *program) ended(ctx context.Context, exit runtime.Exit, err error) error {
	switch {
	case p.leaseOver():
		return p.end(killedCode, true)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, runtime.ErrNotRunning):
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_NOT_RUNNING, err)
	case err != nil:
		p.s.log.Warn("run a program in a task", "err", err)
		return p.refuse(leasev1.ExecRefusal_EXEC_REFUSAL_FAILED, err)
	}
	return p.end(exit.Code, exit.Signal != 0 && p.taskEnds(ctx))
}

// leaseOver says whether the lease has ended, and with it whatever ran under it.
func (p *program) leaseOver() bool {
	select {
	case <-p.s.session.Done():
		return true
	default:
		return false
	}
}

func (p *program) end(code int, taskEnded bool) error {
	end := &leasev1.ExecEnded{Code: int32(code), TaskEnded: taskEnded}
	return p.send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Ended{Ended: end}})
}

// taskEnds says whether the task ends now.
func (p *program) taskEnds(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	for {
		progress, _, changed := p.s.board.look()
		if progress.Phase > leasev1.Phase_PHASE_FROZEN {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (p *program) refuse(reason leasev1.ExecRefusal, err error) error {
	return p.send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Refused{
		Refused: &leasev1.ExecRefused{Reason: reason, Sentence: job.CleanText(err.Error())}}})
}

// listener is who hears what the program writes, nil once that left it alone.
func (p *program) listener() session.Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}

// send says something to the caller, unless nobody listens.
func (p *program) send(m proto.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		return nil
	}
	return p.link.Send(m)
}

// errLeftAlone: the requester wants the program to go on without it.
var errLeftAlone = errors.New("left alone")

// leave answers a caller that leaves the program alone, and may hang up as soon as it hears so.
func (p *program) leave() error {
	p.mu.Lock()
	link := p.link
	p.link = nil
	p.mu.Unlock()
	defer close(p.alone)
	if err := link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Ended{Ended: &leasev1.ExecEnded{Detached: true}}}); err != nil {
		p.s.log.Debug("answer who leaves a program alone", "err", err)
	}
	return errLeftAlone
}

// receive hands the program what its requester sends, until that goes away, leaves it alone
// or breaks the rules.
func (p *program) receive(ctx context.Context, stdin *io.PipeWriter) (err error) {
	defer func() {
		if !errors.Is(err, errLeftAlone) { // or it would have read all there is
			_ = stdin.Close()
		}
	}()
	link := p.listener()
	for {
		var f leasev1.ExecFrame
		if err := link.Recv(&f); err != nil {
			return err
		}
		if err := job.CheckExecFrame(&f); err != nil {
			return err
		}
		switch f := f.Frame.(type) {
		case *leasev1.ExecFrame_Stdin:
			_, _ = stdin.Write(f.Stdin) // a program that reads no more is no fault
		case *leasev1.ExecFrame_StdinEnd:
			_ = stdin.Close()
		case *leasev1.ExecFrame_Detach:
			return p.leave()
		case *leasev1.ExecFrame_Size:
			pass(ctx, p.resized, runtime.Size{Rows: uint16(f.Size.Rows), Columns: uint16(f.Size.Columns)})
		case *leasev1.ExecFrame_Signal:
			pass(ctx, p.signals, int(f.Signal))
		}
	}
}

func pass[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// pieceWriter sends what is written to it, each piece as a message.
type pieceWriter struct {
	p       *program
	message func([]byte) *leasev1.ExecReply
}

func (w pieceWriter) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n := min(len(b)-done, chunkSize)
		if err := w.p.send(w.message(b[done : done+n])); err != nil {
			return done, err
		}
		done += n
	}
	return len(b), nil
}

func stdout(b []byte) *leasev1.ExecReply {
	return &leasev1.ExecReply{Reply: &leasev1.ExecReply_Stdout{Stdout: b}}
}

func earlier(b []byte) *leasev1.ExecReply {
	return &leasev1.ExecReply{Reply: &leasev1.ExecReply_Earlier{Earlier: b}}
}

func stderr(b []byte) *leasev1.ExecReply {
	return &leasev1.ExecReply{Reply: &leasev1.ExecReply_Stderr{Stderr: b}}
}
