package control

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"github.com/rigmesh/rigmesh/p2p/blob"
)

// Errors that both sides of the socket decide on: an implementation of Jobs, Blobs or
// Receipts wraps them, and the client's errors match them again.
var (
	// ErrNotFound: there is no such job, lease, blob or receipt; the text says which.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: the beginning of an id fits several.
	ErrAmbiguous = errors.New("ambiguous id")
	// ErrInvalid: the request itself is wrong, and the text says where.
	ErrInvalid = errors.New("invalid request")
	// ErrMissing: a job names a blob that was not put before.
	ErrMissing = errors.New("missing blob")
	// ErrNoTask: the job has no task that runs: it has not begun, or has ended.
	ErrNoTask = errors.New("no task that runs")
	// ErrCut: the worker, or the way to it, went away in the middle.
	ErrCut = errors.New("the connection to the worker is gone")
	// ErrNoSpace: the node's disk is full.
	ErrNoSpace = errors.New("no space left")
	// ErrStopping: the node takes nothing new, because it drains or stops.
	ErrStopping = errors.New("the node is stopping")
)

// Errors of the client alone.
var (
	// ErrNotRunning: no process serves this data directory.
	ErrNotRunning = errors.New("no rigmesh node is running")
	// ErrLost: the node went away in the middle of a call.
	ErrLost = errors.New("the node went away")
	// ErrOtherVersion: the node does not know the call: it runs an older version.
	ErrOtherVersion = errors.New("the node runs an older version of rigmesh, which cannot do this")
)

// codes maps each shared sentinel to its code on the wire. The first of a code is what
// the client sees; the blob store's own come after.
var codes = []struct {
	sentinel error
	code     connect.Code
}{
	{ErrNotFound, connect.CodeNotFound},
	{ErrAmbiguous, connect.CodeOutOfRange},
	{ErrInvalid, connect.CodeInvalidArgument},
	{ErrMissing, connect.CodeFailedPrecondition},
	{ErrNoTask, connect.CodeAborted},
	{ErrCut, connect.CodeDataLoss},
	{ErrNoSpace, connect.CodeResourceExhausted},
	{ErrStopping, connect.CodeUnavailable},
	{context.Canceled, connect.CodeCanceled},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded},
	{blob.ErrUnknown, connect.CodeNotFound},
	{blob.ErrNoSpace, connect.CodeResourceExhausted},
	{blob.ErrDigest, connect.CodeInvalidArgument},
	{blob.ErrRange, connect.CodeInvalidArgument},
}

// toWire gives an error of this node its code.
func toWire(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range codes {
		if errors.Is(err, c.sentinel) {
			return connect.NewError(c.code, err)
		}
	}
	return connect.NewError(connect.CodeInternal, err)
}

// remoteError is an error of the node as its client sees it: the node's own words,
// and the sentinel they came with.
type remoteError struct {
	text     string
	sentinel error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.sentinel }

// fromWire undoes toWire.
func fromWire(err error) error {
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return err
	}
	if wire.Code() == connect.CodeUnimplemented { // of connect itself: no server here says so
		return ErrOtherVersion
	}
	for _, c := range codes {
		if wire.Code() != c.code {
			continue
		}
		if c.code == connect.CodeUnavailable && !connect.IsWireError(wire) {
			break // connect's own word for a broken connection
		}
		return &remoteError{wire.Message(), c.sentinel}
	}
	if connect.IsWireError(wire) {
		return &remoteError{wire.Message(), nil}
	}
	return fmt.Errorf("%w: %s", ErrLost, wire.Message())
}
