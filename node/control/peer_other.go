//go:build !linux && !darwin

package control

import "net"

// checkPeer allows everybody who could open the socket: its permissions are the
// only protection on this system.
func checkPeer(*net.UnixConn, int) error { return nil }
