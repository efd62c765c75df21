package control

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// checkPeer refuses a connection of a process that is neither uid's nor root's.
func checkPeer(conn *net.UnixConn, uid int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("look at peer: %w", err)
	}
	var cred *unix.Xucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	if err := cmpErr(err, credErr); err != nil {
		return fmt.Errorf("look at peer: %w", err)
	}
	if cred.Uid != 0 && int(cred.Uid) != uid {
		return fmt.Errorf("peer is of user %d, not of %d", cred.Uid, uid)
	}
	return nil
}
