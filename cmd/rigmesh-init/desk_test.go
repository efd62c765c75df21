//go:build linux

package main

import (
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// onTerminal starts a program on a terminal of its own, and somebody in front of it who has
// seen a word.
func onTerminal(t *testing.T, word string, args ...string) (j *running, seat net.Conn, signals chan os.Signal) {
	t.Helper()
	dir := t.TempDir()
	d, slave, err := newTerminal(dir)
	if err != nil {
		t.Fatal(err)
	}
	o, err := outputOf(d, dir, record.StdoutFile, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	signals = make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGHUP) // which the program would ignore if the test does
	t.Cleanup(func() { signal.Stop(signals) })
	fd := slave.Fd()
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env: []string{"PS1=" + word, "PATH=/bin:/usr/bin"}, Files: []uintptr{fd, fd, fd}, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true}})
	if err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	go o.copy()
	d.open()
	seat, err = net.Dial("unixpacket", filepath.Join(dir, record.InputSocket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = seat.Close() })
	shows(t, seat, word)
	return &running{pid: pid, outs: []*output{o}, desk: d}, seat, signals
}

// shows reads packets until a word was in them.
func shows(t *testing.T, seat net.Conn, word string) {
	t.Helper()
	var all strings.Builder
	packet := make([]byte, 1+record.PacketBytes)
	for !strings.Contains(all.String(), word) {
		n, err := seat.Read(packet)
		if err != nil {
			t.Fatalf("no %q after %q: %v", word, &all, err)
		}
		all.Write(packet[1:n])
	}
}

// over lets the job's end be seen by whoever sits there.
func (j *running) over(t *testing.T, seat net.Conn) {
	t.Helper()
	j.desk.hangUp()
	<-j.outs[0].done
	go j.desk.end()
	packet := make([]byte, 1+record.PacketBytes)
	for {
		if n, err := seat.Read(packet); err != nil || n == 0 {
			return
		}
	}
}

func TestAShellThatIgnoresBeingEndedIsHungUp(t *testing.T) {
	j, seat, signals := onTerminal(t, "typed>", "/bin/sh", "-i")
	signals <- syscall.SIGTERM
	status, told := j.reap(signals)
	if !told || (!status.Signaled() || status.Signal() != syscall.SIGHUP) && status.ExitStatus() != 128+int(syscall.SIGHUP) {
		t.Errorf("status %#x, told: %v", status, told)
	}
	j.over(t, seat)
}

func TestAProgramOnATerminalThatHandlesBeingEndedHearsNothingElse(t *testing.T) {
	j, seat, signals := onTerminal(t, "up", "/bin/sh", "-c", "trap 'exit 4' HUP; trap 'echo saved; exit 3' TERM; echo up; while :; do sleep 0.1; done")
	signals <- syscall.SIGTERM
	if status, told := j.reap(signals); !told || status.ExitStatus() != 3 {
		t.Errorf("status %#x, told: %v", status, told)
	}
	j.over(t, seat)
}

func TestWhoeverComesLaterSeesWhatWasWrittenAndMayType(t *testing.T) {
	j, seat, signals := onTerminal(t, "typed>", "/bin/sh", "-i")
	if _, err := seat.Write(append([]byte{record.InputPacket}, "echo one$((1+1))\r"...)); err != nil {
		t.Fatal(err)
	}
	shows(t, seat, "one2")
	later, err := net.Dial("unixpacket", seat.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	shows(t, later, "one2")
	for _, packet := range [][]byte{record.SizeOf(51, 121), append([]byte{record.InputPacket}, "stty size; exit 5\r"...)} {
		if _, err := later.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	shows(t, seat, "51 121")
	if status, told := j.reap(signals); told || status.ExitStatus() != 5 {
		t.Errorf("status %#x, told: %v", status, told)
	}
	_ = later.Close()
	j.over(t, seat)
}
