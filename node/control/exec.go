package control

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Tasks reaches into the tasks of jobs that run.
type Tasks interface {
	// Exec begins a program in a job's task: what is sent on the link are ExecFrames
	// after the first, what comes are ExecReplies, the last of them the program's end or a
	// refusal. ErrNotFound, ErrAmbiguous, ErrNoTask, ErrInvalid.
	Exec(ctx context.Context, id string, start *leasev1.ExecStart) (Link, error)
	// Forget removes what this node shows of a job that has ended. ErrNotFound,
	// ErrAmbiguous, ErrInvalid while it has not.
	Forget(ctx context.Context, id string) error
}

// Link is a stream of messages both ways.
type Link interface {
	Send(proto.Message) error
	Recv(proto.Message) error
	// Close ends it; what was sent still arrives.
	Close() error
	// Reset ends it at once, for both ends.
	Reset()
}

// taskServer answers the calls of TaskService.
type taskServer struct{ tasks Tasks }

var _ controlv1connect.TaskServiceHandler = taskServer{}

type execStream = connect.BidiStream[controlv1.ExecRequest, controlv1.ExecResponse]

// Exec implements controlv1connect.TaskServiceHandler. It passes messages on as they come.
func (s taskServer) Exec(ctx context.Context, stream *execStream) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	start := first.GetFrame().GetStart()
	if start == nil {
		return toWire(fmt.Errorf("%w: a program was not named", ErrInvalid))
	}
	link, err := s.tasks.Exec(ctx, first.JobId, start)
	if err != nil {
		return toWire(err)
	}
	defer link.Reset()
	defer context.AfterFunc(ctx, link.Reset)()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		forward(stream, link)
	}()
	if err := answer(link, stream); err != nil {
		if errors.Is(context.Cause(ctx), ErrStopping) {
			err = ErrStopping
		}
		return toWire(err)
	}
	select { // the client closes its side when it has heard the end
	case <-sent:
	case <-ctx.Done():
	}
	return nil
}

// forward passes on what the client says until it goes away, which ends the program.
func forward(from *execStream, to Link) {
	for {
		req, err := from.Receive()
		if err != nil {
			to.Reset()
			return
		}
		if err := to.Send(req.GetFrame()); err != nil {
			return
		}
	}
}

// answer passes on what the program says until its end.
func answer(from Link, to *execStream) error {
	for {
		var r leasev1.ExecReply
		if err := from.Recv(&r); err != nil {
			return fmt.Errorf("%w: %w", ErrCut, err)
		}
		if err := to.Send(&controlv1.ExecResponse{Reply: &r}); err != nil {
			return err
		}
		if r.GetEnded() != nil || r.GetRefused() != nil {
			return nil
		}
	}
}

// ForgetJob implements controlv1connect.TaskServiceHandler.
func (s taskServer) ForgetJob(ctx context.Context, req *controlv1.ForgetJobRequest) (*controlv1.ForgetJobResponse, error) {
	return &controlv1.ForgetJobResponse{}, toWire(s.tasks.Forget(ctx, req.JobId))
}

// Forget removes what the node shows of a job that has ended. ErrNotFound, ErrAmbiguous, ErrInvalid.
func (c *Client) Forget(ctx context.Context, id string) error {
	_, err := c.tasks.ForgetJob(ctx, &controlv1.ForgetJobRequest{JobId: id})
	return fromWire(err)
}

// Exec begins a program in a job's task. It ends with ctx, and with Close.
func (c *Client) Exec(ctx context.Context, id string, start *leasev1.ExecStart) (*Execution, error) {
	stream, err := c.tasks.Exec(ctx)
	if err != nil {
		return nil, fromWire(err)
	}
	x := &Execution{stream: stream, stop: context.AfterFunc(ctx, func() {
		_ = stream.CloseRequest() // net/http does not look at ctx while it waits for what is sent next
	})}
	err = stream.Send(&controlv1.ExecRequest{JobId: id, Frame: &leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Start{Start: start}}})
	if err != nil && !errors.Is(err, io.EOF) { // what the node says instead comes with Receive
		x.Close()
		return nil, fromWire(err)
	}
	return x, nil
}

// Execution is a program in a task, as its caller sees it. One goroutine may send while
// another receives.
type Execution struct {
	stream *connect.BidiStreamForClientSimple[controlv1.ExecRequest, controlv1.ExecResponse]
	stop   func() bool // watching its context
}

// Send says something to the program. io.EOF: it is over, and Receive says how.
func (x *Execution) Send(f *leasev1.ExecFrame) error {
	return x.stream.Send(&controlv1.ExecRequest{Frame: f})
}

// Receive gives what the program says; its end, or why it was not run, comes last.
// ErrNotFound, ErrAmbiguous, ErrNoTask, ErrInvalid, ErrCut.
func (x *Execution) Receive() (*leasev1.ExecReply, error) {
	m, err := x.stream.Receive()
	if err != nil {
		return nil, fromWire(err)
	}
	return m.GetReply(), nil
}

// Close lets go of the program.
func (x *Execution) Close() {
	x.stop()
	_ = x.stream.CloseRequest()
	_ = x.stream.CloseResponse()
}
