//go:build unix

package control

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSocketIsForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	newFakeNode().serve(t, dir)
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
}

func TestConnectionOfAnotherUserIsRefused(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[1])
	f := os.NewFile(uintptr(pair[0]), "pair")
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	defer conn.Close()
	unix := conn.(*net.UnixConn)
	if err := checkPeer(unix, os.Geteuid()); err != nil {
		t.Errorf("our own connection: %v", err)
	}
	// A connection of root is welcome everywhere, so only others can see the refusal.
	err = checkPeer(unix, os.Geteuid()+1)
	if refused := err != nil; refused == (os.Geteuid() == 0) {
		t.Errorf("a node of another user says %v", err)
	}
}

func TestStaleSocketIsNoNodeAndIsReplaced(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close() // as a killed process leaves it
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("dial: %v", err)
	}
	newFakeNode().serve(t, dir)
	if _, err := mustDial(t, dir).Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
}

func TestNoDataDirectoryIsNoNode(t *testing.T) {
	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dial: %v", err)
	}
}

func TestSocketInADirectoryWithALongNameWorksOrIsRefusedInWords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		if !strings.Contains(err.Error(), "shorter path") {
			t.Errorf("listen: %v", err)
		}
		return
	}
	_ = l.Close()
	newFakeNode().serve(t, dir)
	if _, err := mustDial(t, dir).Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
}
