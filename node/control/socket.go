package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
)

// socketName is the socket in a data directory.
const socketName = "control.sock"

// Listen makes the socket of dataDir, 0600. The caller holds the Lock, so a socket
// that is there belongs to a process that is gone. Connections of other users are closed
// unanswered. Closing the listener removes the socket.
func Listen(dataDir string, log *slog.Logger) (net.Listener, error) {
	path := filepath.Join(dataDir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // it would unlink the short path, which is another one later
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("protect %s: %w", path, err)
	}
	return &ownListener{UnixListener: l, path: path, log: log}, nil
}

// ownListener accepts connections of this user and of root only.
type ownListener struct {
	*net.UnixListener
	path string
	log  *slog.Logger
}

func (l *ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(conn, os.Geteuid()); err != nil {
			l.log.Warn("control connection refused", "err", err)
			_ = conn.Close()
			continue
		}
		return conn, nil
	}
}

func (l *ownListener) Close() error {
	err := l.UnixListener.Close()
	_ = os.Remove(l.path)
	return err
}

// dialSocket connects to the socket of dataDir. A missing socket, and one that nobody
// listens on any more, are ErrNotRunning.
func dialSocket(ctx context.Context, dataDir string) (net.Conn, error) {
	path := filepath.Join(dataDir, socketName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w on %s", ErrNotRunning, dataDir)
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", short)
	if isRefused(err) {
		return nil, fmt.Errorf("%w on %s", ErrNotRunning, dataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, errors.Unwrap(err))
	}
	return conn, nil
}
