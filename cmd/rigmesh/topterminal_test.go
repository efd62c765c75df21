//go:build linux

package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// terminal is a program on a terminal of its own, and what that shows.
type terminal struct {
	t       *testing.T
	master  *os.File
	slave   *os.File
	screen  *vt.SafeEmulator
	changed chan struct{} // something was drawn
	before  *unix.Termios
	cmd     *exec.Cmd
}

// onTerminal starts this program, with a data directory.
func onTerminal(t *testing.T, dir string, columns, rows int, args ...string) *terminal {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &terminal{t: t, master: master, slave: slave, screen: vt.NewSafeEmulator(columns, rows), changed: make(chan struct{}, 1)}
	s.resize(columns, rows)
	s.before = s.modes()
	s.cmd = &exec.Cmd{
		Path: self, Args: append([]string{"rigmesh"}, args...), Stdin: slave, Stdout: slave, Stderr: slave,
		Env:         append(os.Environ(), "RIGMESH_DATA="+dir, "TERM=xterm-256color"),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(s.draw)
	both.Go(func() { _, _ = io.Copy(master, s.screen) }) // what a terminal answers when it is asked
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = slave.Close()
		_ = master.Close()
		_ = s.screen.InputPipe().(io.Closer).Close() // ends the reader; the screen's own Close races with it
		both.Wait()
	})
	return s
}

func (s *terminal) draw() {
	b := make([]byte, 4096)
	for {
		n, err := s.master.Read(b)
		_, _ = s.screen.Write(b[:n])
		select {
		case s.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *terminal) resize(columns, rows int) {
	s.t.Helper()
	s.screen.Resize(columns, rows)
	if err := pty.Setsize(s.master, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)}); err != nil {
		s.t.Fatal(err)
	}
}

// modes are how the terminal treats what is typed.
func (s *terminal) modes() *unix.Termios {
	s.t.Helper()
	m, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *terminal) text() string { return ansi.Strip(s.screen.Render()) }

// await waits until the screen is as wanted.
func (s *terminal) await(what string, is func(text string) bool) {
	s.t.Helper()
	late := time.After(time.Minute)
	for !is(s.text()) {
		select {
		case <-s.changed:
		case <-late:
			s.t.Fatalf("never %s:\n%s", what, s.text())
		}
	}
}

func (s *terminal) shows(want ...string) {
	s.t.Helper()
	s.await("showed "+strings.Join(want, ", "), func(text string) bool {
		for _, w := range want {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
}

func (s *terminal) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the program, and wants its terminal as it was before.
func (s *terminal) ends(code int) {
	s.t.Helper()
	_ = s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("ended with %s, want code %d", s.cmd.ProcessState, code)
	}
	s.await("went back to what was there before", func(string) bool { return !s.screen.IsAltScreen() && !s.screen.CursorHidden() })
	if diff := cmp.Diff(s.before, s.modes()); diff != "" {
		s.t.Errorf("the terminal is left otherwise: %s", diff)
	}
}

func TestTopLivesOnATerminalAndLeavesItAsItWas(t *testing.T) {
	f := startFakeNode(t)
	s := onTerminal(t, f.dir, 140, 30, "top")
	s.shows("rigmesh attic", "rtx-4090 (sim)", "423/450 W", "0.938 kWh", "GPU 3: the card fell off the bus", "q quit   p pause")
	if !s.screen.IsAltScreen() || cmp.Equal(s.before, s.modes()) {
		t.Error("it draws over what was there before")
	}
	s.resize(60, 20)
	s.await("fitted 60 columns", func(text string) bool {
		return strings.Contains(text, "…") && !strings.Contains(text, "PRICE") && strings.Contains(text, "q quit")
	})
	s.resize(150, 40)
	s.shows("PRICE", "0.938 kWh")
	for _, key := range []struct{ press, says string }{
		{"p", "paused: 1 lease told to end"}, {"d", "draining: no new lease"}, {"r", "lending again"},
	} {
		s.press(key.press)
		s.shows(key.says)
	}
	want := []controlv1.Word{controlv1.Word_WORD_PAUSE, controlv1.Word_WORD_DRAIN, controlv1.Word_WORD_RESUME}
	if diff := cmp.Diff(want, f.said()); diff != "" {
		t.Error(diff)
	}
	s.press("q")
	s.ends(0)
}

func TestTopLeavesTheTerminalAsItWasHoweverItEnds(t *testing.T) {
	for name, end := range map[string]func(*fakeNode, *terminal){
		"ctrl-c":  func(_ *fakeNode, s *terminal) { s.press("\x03") },
		"escape":  func(_ *fakeNode, s *terminal) { s.press("\x1b") },
		"SIGTERM": func(_ *fakeNode, s *terminal) { _ = s.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFakeNode(t)
			s := onTerminal(t, f.dir, 100, 30, "top")
			s.shows("q quit")
			end(f, s)
			s.ends(0)
		})
	}
}

func TestTopLearnsOfAResizeThatItWasNotToldOf(t *testing.T) {
	m := &topModel{measure: func() int { return 60 }, width: 140}
	_, cmd := m.Update(readAgain{})
	cmds, ok := cmd().(tea.BatchMsg)
	if !ok || len(cmds) != 2 || cmds[1]() != tea.RequestWindowSize() {
		t.Errorf("it does not ask how large its terminal is: %v", cmds)
	}
}

func TestTopReadsOnceASecondHoweverManyKeysArePressed(t *testing.T) {
	m := &topModel{}
	now := &controlv1.ListDevicesResponse{}
	if _, cmd := m.Update(readDone{now: now}); cmd != nil {
		t.Error("the reading after a key has another one follow a second later")
	}
	if _, cmd := m.Update(readDone{now: now, tick: true}); cmd == nil {
		t.Error("nothing follows the reading of this second")
	}
}
