package control

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/port"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Ports leads to ports inside the tasks of jobs that run.
type Ports interface {
	// Connect opens a connection to a port of a job's task: PortFrames go both ways, and the
	// worker's answer comes first. ErrNotFound, ErrAmbiguous, ErrNoTask, ErrCut.
	Connect(ctx context.Context, id string, port uint32) (Link, error)
}

// portServer answers the calls of PortService.
type portServer struct{ ports Ports }

var _ controlv1connect.PortServiceHandler = portServer{}

type connectStream = connect.BidiStream[controlv1.ConnectRequest, controlv1.ConnectResponse]

// Connect implements controlv1connect.PortServiceHandler. It passes frames on as they come.
func (s portServer) Connect(ctx context.Context, stream *connectStream) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	link, err := s.ports.Connect(ctx, first.JobId, first.GetFrame().GetOpen().GetPort())
	if err != nil {
		return toWire(err)
	}
	defer context.AfterFunc(ctx, link.Reset)()
	said := make(chan struct{})
	go func() {
		defer close(said)
		toTask(stream, link)
	}()
	if err := fromTask(link, stream); err != nil {
		link.Reset()
		if errors.Is(context.Cause(ctx), ErrStopping) {
			err = ErrStopping
		}
		return toWire(err)
	}
	select { // the client ends its side when it has said and heard all
	case <-said:
	case <-ctx.Done():
	}
	_ = link.Close() // the other side may have been first
	return nil
}

// toTask passes on what the client says, to the end of its side.
func toTask(from *connectStream, to Link) {
	for {
		req, err := from.Receive()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || to.Send(req.GetFrame()) != nil {
			to.Reset()
			return
		}
	}
}

// fromTask passes on what the task says, to the end of its side.
func fromTask(from Link, to *connectStream) error {
	for {
		var f leasev1.PortFrame
		if err := from.Recv(&f); err != nil {
			return fmt.Errorf("%w: %w", ErrCut, err)
		}
		if err := to.Send(&controlv1.ConnectResponse{Frame: &f}); err != nil {
			return err
		}
		if f.GetEnd() != nil || f.GetRefused() != nil {
			return nil
		}
	}
}

// RefusedError is a worker's refusal to connect to a port.
type RefusedError struct {
	Reason   leasev1.PortRefusal
	Sentence string
}

func (e *RefusedError) Error() string { return e.Sentence }

// Connect opens a connection to a port of a job's task. It ends with ctx, too. RefusedError,
// ErrNotFound, ErrAmbiguous, ErrNoTask, ErrCut.
func (c *Client) Connect(ctx context.Context, id string, number uint16) (port.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.ports.Connect(ctx)
	if err != nil {
		cancel()
		return nil, fromWire(err)
	}
	l := &portLink{stream: stream, cancel: cancel}
	open := &leasev1.PortFrame{Frame: &leasev1.PortFrame_Open{Open: &leasev1.PortOpen{Port: uint32(number)}}}
	if err := stream.Send(&controlv1.ConnectRequest{JobId: id, Frame: open}); err != nil && !errors.Is(err, io.EOF) {
		l.Reset()
		return nil, fromWire(err)
	}
	var answer leasev1.PortFrame
	if err = l.Recv(&answer); err == nil && answer.GetOpened() == nil {
		err = refusal(answer.GetRefused())
	}
	if err != nil {
		l.Reset()
		return nil, err
	}
	return port.New(l), nil
}

func refusal(r *leasev1.PortRefused) error {
	e := &RefusedError{r.GetReason(), job.CleanText(r.GetSentence())}
	if e.Sentence == "" {
		e.Sentence = "the worker does not say why"
	}
	return e
}

// portLink is a connection as its client sees it.
type portLink struct {
	stream *connect.BidiStreamForClientSimple[controlv1.ConnectRequest, controlv1.ConnectResponse]
	cancel context.CancelFunc
}

// Send implements port.Link. The end is the last that is said.
func (l *portLink) Send(f *leasev1.PortFrame) error {
	err := l.stream.Send(&controlv1.ConnectRequest{Frame: f})
	if err == nil && f.GetEnd() != nil {
		err = l.stream.CloseRequest()
	}
	return fromWire(err)
}

// Recv implements port.Link.
func (l *portLink) Recv(into *leasev1.PortFrame) error {
	m, err := l.stream.Receive()
	if err != nil {
		return fromWire(err)
	}
	into.Frame = m.GetFrame().GetFrame()
	return nil
}

// Close implements port.Link. The node ends the call when it has passed on all that was said.
func (l *portLink) Close() error {
	defer l.Reset()
	_, err := l.stream.Receive()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fromWire(err)
}

// Reset implements port.Link.
func (l *portLink) Reset() {
	l.cancel()
	_ = l.stream.CloseResponse()
}
