//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// slowest is how long a packet to somebody at the desk may take: the job waits meanwhile,
// and not for ever.
const slowest = 5 * time.Second

// desk is where somebody may sit in front of the job: its input, and its terminal if it has
// one. They come by a socket that the host alone can reach. No package net: it would double
// the size of this program.
type desk struct {
	in       *os.File // to the job: the other end of its terminal, or of a pipe
	held     *os.File // the job's end of its terminal, which so outlives the job's letting go; nil: it has none
	listener *os.File

	mu      sync.Mutex
	there   map[*os.File]bool // who sits at it
	earlier []byte            // the end of what was written to the terminal
	left    chan struct{}     // closed and replaced when somebody leaves
}

// newPipe gives a desk and what the job reads.
func newPipe(dir string) (*desk, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if err := r.Chmod(0o666); err != nil { // the job opens /dev/stdin as its own user
		return nil, nil, fmt.Errorf("open the pipe of its input to the job: %w", err)
	}
	d, err := newDesk(dir, w)
	return d, r, err
}

// newTerminal gives a desk and the job's end of its terminal.
func newTerminal(dir string) (*desk, *os.File, error) {
	master, err := os.OpenFile("/dev/pts/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var slave int
	err = control(master, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			n, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
			if e != 0 {
				return e
			}
			slave = int(n)
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make a terminal: %w", err)
	}
	held, err := unix.FcntlInt(uintptr(slave), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	// The job opens it again, as its own user.
	if err := unix.Fchmod(slave, 0o666); err != nil {
		return nil, nil, fmt.Errorf("open its terminal to the job: %w", err)
	}
	d, err := newDesk(dir, master)
	if err != nil {
		return nil, nil, err
	}
	d.held = os.NewFile(uintptr(held), "terminal")
	d.resize(24, 80) // until somebody says
	return d, os.NewFile(uintptr(slave), "terminal"), nil
}

func newDesk(dir string, in *os.File) (*desk, error) {
	path := filepath.Join(dir, record.InputSocket)
	_ = os.Remove(path) // of an init that did not get further
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for whoever attaches: %w", err)
	}
	return &desk{in: in, listener: os.NewFile(uintptr(fd), "listener"), there: make(map[*os.File]bool), left: make(chan struct{})}, nil
}

// control calls f with a file's descriptor and leaves it as it is; Fd would make it block.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// open lets people come.
func (d *desk) open() {
	if d == nil {
		return
	}
	go func() {
		for {
			seat, err := d.accept()
			if err != nil {
				return // end closed it
			}
			if d.welcome(seat) == nil {
				go d.serve(seat)
			}
		}
	}()
}

func (d *desk) accept() (seat *os.File, err error) {
	raw, err := d.listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	var aerr error
	err = raw.Read(func(fd uintptr) bool {
		var n int
		n, _, aerr = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if aerr == nil {
			seat = os.NewFile(uintptr(n), "seat")
		}
		return !errors.Is(aerr, unix.EAGAIN)
	})
	return seat, errors.Join(err, aerr)
}

// welcome shows somebody what there was, and from then on what comes.
func (d *desk) welcome(seat *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.there[seat] = true
	return d.send(seat, record.EarlierPacket, d.earlier)
}

// send cuts b into packets, one at least. Whoever does not take one has to leave. The caller holds mu.
func (d *desk) send(seat *os.File, kind byte, b []byte) error {
	for {
		n := min(len(b), record.PacketBytes)
		_ = seat.SetWriteDeadline(time.Now().Add(slowest))
		if _, err := seat.Write(append([]byte{kind}, b[:n]...)); err != nil {
			d.leave(seat)
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}

// leave is called with mu held.
func (d *desk) leave(seat *os.File) {
	if d.there[seat] {
		delete(d.there, seat)
		_ = seat.Close()
		close(d.left)
		d.left = make(chan struct{})
	}
}

// serve does what somebody at the desk asks for.
func (d *desk) serve(seat *os.File) {
	packet := make([]byte, 1+record.PacketBytes)
	for {
		n, err := seat.Read(packet)
		if err != nil || n == 0 {
			d.mu.Lock()
			d.leave(seat)
			d.mu.Unlock()
			return
		}
		switch b := packet[1:n]; packet[0] {
		case record.InputPacket:
			_, _ = d.in.Write(b) // a job that reads no more is no fault
		case record.EndPacket:
			if !d.terminal() {
				_ = d.in.Close()
			}
		case record.SizePacket:
			if rows, columns, ok := record.ParseSize(b); ok {
				d.resize(rows, columns)
			}
		}
	}
}

func (d *desk) resize(rows, columns uint16) {
	_ = control(d.in, func(fd int) error { // a pipe has none
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
}

// Read gives what the job wrote to its terminal, and shows it to everybody there.
func (d *desk) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	if n > 0 {
		d.show(p[:n])
	}
	if errors.Is(err, syscall.EIO) { // nobody has the other end any more
		err = io.EOF
	}
	return n, err
}

func (d *desk) show(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.earlier = append(d.earlier, b...)
	if over := len(d.earlier) - runtime.EarlierBytes; over > 0 {
		d.earlier = append(d.earlier[:0], d.earlier[over:]...)
	}
	for seat := range d.there {
		_ = d.send(seat, record.OutputPacket, b)
	}
}

// terminal says whether the job has one.
func (d *desk) terminal() bool { return d != nil && d.held != nil }

// hangUp lets go of the job's end of its terminal.
func (d *desk) hangUp() {
	if d.terminal() {
		_ = d.held.Close()
	}
}

// end tells everybody that there is no more, and gives them a moment to take what there was.
func (d *desk) end() {
	if d == nil {
		return
	}
	_ = d.listener.Close()
	d.mu.Lock()
	for seat := range d.there {
		_ = control(seat, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
	}
	d.mu.Unlock()
	limit := time.After(slowest)
	for {
		d.mu.Lock()
		n, left := len(d.there), d.left
		d.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-left:
		case <-limit:
			return
		}
	}
}
