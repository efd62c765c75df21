package control

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into a socket address, with its final zero.
const maxSocketPath = 107

// shortPath gives a name for path that fits into a socket address, valid until done
// is called: path itself, or a way to it through an open directory.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("open data directory: %w", err)
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	return short, func() { _ = dir.Close() }, nil
}

// checkPeer refuses a connection of a process that is neither uid's nor root's.
func checkPeer(conn *net.UnixConn, uid int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("look at peer: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := cmpErr(err, credErr); err != nil {
		return fmt.Errorf("look at peer: %w", err)
	}
	if cred.Uid != 0 && int(cred.Uid) != uid {
		return fmt.Errorf("process %d is of user %d, not of %d", cred.Pid, cred.Uid, uid)
	}
	return nil
}
