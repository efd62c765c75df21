package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/port"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const (
	// MaxConnections is how many connections to ports of one task may be open at a time.
	MaxConnections = 64
	// dialWithin bounds opening one: on a loopback it takes no time, unless the task takes
	// none of those that wait already.
	dialWithin = 10 * time.Second
)

// Port is one connection of a requester to a port inside its task. open was the first
// frame on link. It ends with the connection, the link, the task or the lease.
func (w *Worker) Port(ctx context.Context, open *leasev1.PortOpen, link session.Link) error {
	s, err := w.tenancy(open.GetLeaseId(), link.Peer())
	if err != nil {
		return err
	}
	defer s.opened.Add(-1)
	if s.opened.Add(1) > MaxConnections {
		return refusePort(link, leasev1.PortRefusal_PORT_REFUSAL_BUSY, fmt.Errorf("%d connections to this task are open already", MaxConnections))
	}
	conn, reason, err := s.dial(ctx, open.Port)
	if err != nil {
		return refusePort(link, reason, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.session.Done():
		case <-ctx.Done():
		}
		_ = conn.Close()
	}()
	if err := link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Opened{Opened: &leasev1.PortOpened{}}}); err != nil {
		return err
	}
	return port.Splice(port.New(frames{link}), conn)
}

// dial connects to a port of the task, or says why not.
func (n *tenancy) dial(ctx context.Context, number uint32) (runtime.Conn, leasev1.PortRefusal, error) {
	switch phase := n.board.phase(); {
	case number < 1 || number > 65535:
		return nil, leasev1.PortRefusal_PORT_REFUSAL_INVALID, fmt.Errorf("port %d: ports are 1 to 65,535", number)
	case phase == leasev1.Phase_PHASE_FROZEN:
		return nil, leasev1.PortRefusal_PORT_REFUSAL_FROZEN, errStandsStill
	case phase != leasev1.Phase_PHASE_RUNNING:
		return nil, leasev1.PortRefusal_PORT_REFUSAL_NOT_RUNNING, notRunning(phase)
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	conn, err := n.w.Runtime.Dial(ctx, taskID(n.id), uint16(number))
	switch {
	case err == nil:
		return conn, 0, nil
	case errors.Is(err, runtime.ErrNotListening):
		return nil, leasev1.PortRefusal_PORT_REFUSAL_CLOSED, runtime.ErrNotListening
	case errors.Is(err, runtime.ErrNotRunning), errors.Is(err, runtime.ErrNotFound):
		return nil, leasev1.PortRefusal_PORT_REFUSAL_NOT_RUNNING, runtime.ErrNotRunning
	case errors.Is(err, context.DeadlineExceeded):
		return nil, leasev1.PortRefusal_PORT_REFUSAL_FAILED, fmt.Errorf("the task did not take the connection within %s", dialWithin)
	}
	n.log.Warn("connect to a port of a task", "port", number, "err", err)
	return nil, leasev1.PortRefusal_PORT_REFUSAL_FAILED, errors.New("the worker could not connect")
}

func refusePort(link session.Link, reason leasev1.PortRefusal, err error) error {
	return link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Refused{
		Refused: &leasev1.PortRefused{Reason: reason, Sentence: job.CleanText(err.Error())}}})
}

// frames is a link of a lease that carries a connection.
type frames struct{ session.Link }

func (f frames) Send(m *leasev1.PortFrame) error { return f.Link.Send(proto.Message(m)) }
func (f frames) Recv(m *leasev1.PortFrame) error { return f.Link.Recv(proto.Message(m)) }
