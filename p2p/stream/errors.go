package stream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"
)

// What can go wrong with a peer that answered. A peer that did not is
// p2p.ErrUnreachable; a deadline that passed is os.ErrDeadlineExceeded.
var (
	ErrProtocol  = errors.New("peer does not speak this protocol")
	ErrTooLarge  = errors.New("message exceeds the limit")
	ErrMalformed = errors.New("malformed message")
	ErrBusy      = errors.New("peer has too many streams open")
	ErrFailed    = errors.New("peer could not answer")
	ErrReset     = errors.New("stream ended by the peer or the network")
)

// codeFailed is the reset code of a handler that returned an error. The error
// itself stays where it happened.
const codeFailed network.StreamErrorCode = 0x72690001

// classify turns what libp2p's layers return into our errors.
func classify(err error) error {
	if isTimeout(err) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, err)
	}
	var reset *network.StreamError
	if errors.As(err, &reset) && reset.Remote {
		switch reset.ErrorCode {
		case codeFailed:
			return ErrFailed
		case network.StreamResourceLimitExceeded, network.StreamRateLimited:
			return fmt.Errorf("%w: %w", ErrBusy, err)
		case network.StreamProtocolNegotiationFailed:
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	if isNotSpoken(err) {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if errors.Is(err, network.ErrReset) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("%w: %w", ErrReset, err)
	}
	return err
}

func isNotSpoken(err error) bool {
	var byID msmux.ErrNotSupported[protocol.ID]
	var byName msmux.ErrNotSupported[string]
	return errors.As(err, &byID) || errors.As(err, &byName)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

// isViolation says whether a frame broke the rules rather than the network.
func isViolation(err error) bool {
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrMalformed)
}

// cutShort names the end of the stream where it is an error: inside a frame.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %w", ErrMalformed, io.ErrUnexpectedEOF)
	}
	return err
}
