package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Exec runs one of a few programs in the fake job: cat, env, exit, say, missing and gone.
func (f *fakeNode) Exec(_ context.Context, id string, start *leasev1.ExecStart) (control.Link, error) {
	if err := f.find(id); err != nil {
		return nil, err
	}
	near, far := session.Pipe("", "")
	go func() {
		defer far.Close()
		if start.Program == leasev1.ExecProgram_EXEC_PROGRAM_ATTACH {
			f.fakeAttach(far, start)
			return
		}
		fakeProgram(far, start)
	}()
	return near, nil
}

// Forget remembers which job was forgotten.
func (f *fakeNode) Forget(_ context.Context, id string) error {
	if id == fakeJob[:4]+"live" {
		return fmt.Errorf("%w: it has not ended", control.ErrInvalid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, id)
	return f.find(id)
}

func fakeProgram(link *session.PipeEnd, start *leasev1.ExecStart) {
	stdout := func(b []byte) { _ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Stdout{Stdout: b}}) }
	code := 0
	if start.Program != leasev1.ExecProgram_EXEC_PROGRAM_UNSPECIFIED {
		fakeCopy(link, start, stdout)
		return
	}
	switch start.Args[0] {
	case "cat":
		for {
			var in leasev1.ExecFrame
			if link.Recv(&in) != nil || in.GetStdinEnd() != nil {
				break
			}
			stdout(in.GetStdin())
		}
	case "env":
		stdout([]byte(strings.Join(start.Env, "\n")))
	case "say":
		stdout([]byte(start.Args[1]))
		_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Stderr{Stderr: []byte("to stderr\n")}})
	case "exit":
		code, _ = strconv.Atoi(start.Args[1])
	case "missing":
		_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Refused{Refused: &leasev1.ExecRefused{
			Reason: leasev1.ExecRefusal_EXEC_REFUSAL_FROZEN, Sentence: "the task stands still\x1b[2J"}}})
		return
	case "gone":
		link.Reset()
		return
	}
	end := &leasev1.ExecEnded{Code: int32(code), TaskEnded: code == 137}
	_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Ended{Ended: end}})
}

func TestAProgramThatSaysNothingIsLeftWhenItsCallerHasEnough(t *testing.T) {
	client := dialFakeNode(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		x, err := client.Exec(ctx, fakeJob, &leasev1.ExecStart{Args: []string{"cat"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Stdin{Stdin: []byte("word")}}); err != nil {
			t.Fatal(err)
		}
		if r, err := x.Receive(); err != nil || string(r.GetStdout()) != "word" {
			t.Fatalf("%v, %v", r, err)
		}
		over := make(chan error)
		go func() {
			_, err := x.Receive()
			over <- err
		}()
		runtime.Gosched() // best when it waits already
		cancel()
		if err := <-over; err == nil {
			t.Error("it said something")
		}
		x.Close()
	}
}

// A job that runs again is attached to twice from one terminal.
func TestWhatIsTypedAfterTheEndOfAProgramIsForTheNext(t *testing.T) {
	client := dialFakeNode(t)
	in, keys := io.Pipe()
	defer keys.Close()
	var out bytes.Buffer
	s := &sitting{k: console{in: in, out: &out, err: io.Discard}, stdin: true}
	if err := s.run(t.Context(), client, fakeJob, &leasev1.ExecStart{Args: []string{"say", "first "}}); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = keys.Write([]byte("second "))
		_, _ = keys.Write([]byte("third"))
		_ = keys.Close()
	}()
	for range 2 { // the end of the input is for both
		if err := s.run(t.Context(), client, fakeJob, &leasev1.ExecStart{Args: []string{"cat"}}); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "first second third" {
		t.Errorf("the programs wrote %q", &out)
	}
}

func TestAProgramInATaskGivesItsOutputsAndItsExitCode(t *testing.T) {
	f := startFakeNode(t)
	for _, c := range []struct {
		args           []string
		stdout, stderr string
		code           int
	}{
		{[]string{"3f2a", "--", "say", "hello\n"}, "hello\n", "to stderr\n", 0},
		{[]string{"3f2a", "say", "\x1b]0;title\x07"}, "\x1b]0;title\x07", "to stderr\n", 0}, // not a terminal: as it is
		{[]string{"3f2a", "exit", "42"}, "", "", 42},
		{[]string{"3f2a", "exit", "137"}, "", "rigmesh: error: the task has ended, and the program with it\n", 137},
		{[]string{"-e", "A=1", "3f2a", "env"}, "A=1", "", 0},
		{[]string{"3f2a", "cat"}, "", "", 0},
	} {
		if c.args[len(c.args)-1] == "cat" {
			c.args = append([]string{"-i"}, c.args...)
		}
		stdout, stderr, code := f.rigmesh(append([]string{"exec"}, c.args...)...)
		if stdout != c.stdout || stderr != c.stderr || code != c.code {
			t.Errorf("exec %q: %q, %q, %d", c.args, stdout, stderr, code)
		}
	}
}

func TestWhyAProgramWasNotRunIsSaid(t *testing.T) {
	f := startFakeNode(t)
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"3f2a", "missing"}, "the task stands still[2J\nrigmesh: hint: a frozen task", exitOurs},
		{[]string{"3f2a", "gone"}, "the connection to the worker is gone", exitOurs},
		{[]string{"77aa", "true"}, "not found", exitOurs},
		{[]string{"3f2a"}, "wants JOB [--] COMMAND", 2},
		{[]string{"3f2a", "--"}, "wants JOB [--] COMMAND", 2},
		{[]string{"3f2a", "-it", "sh"}, "flags go first", 2},
		{[]string{"-it", "3f2a", "sh"}, "standard input is not a terminal", 2},
	} {
		_, stderr, code := f.rigmesh(append([]string{"exec"}, c.args...)...)
		if !strings.Contains(stderr, c.want) || code != c.code {
			t.Errorf("exec %q: %d, %s", c.args, code, stderr)
		}
	}
}

func TestStandardInputGoesToTheProgramToItsEnd(t *testing.T) {
	f := startFakeNode(t)
	sent := strings.Repeat("0123456789abcde\n", 1<<15)
	var out bytes.Buffer
	k := console{in: io.MultiReader(strings.NewReader(sent)), out: &out, err: io.Discard, getenv: func(name string) string {
		return map[string]string{"RIGMESH_DATA": f.dir}[name]
	}}
	if err := run(context.Background(), k, []string{"rigmesh", "exec", "-i", "3f2a", "cat"}); err != nil {
		t.Fatal(err)
	}
	if out.String() != sent {
		t.Errorf("%d bytes of %d came back, or others", out.Len(), len(sent))
	}
}

func TestATerminalIsUsedForWhatTerminalsAreForAndLeftAsItWas(t *testing.T) {
	for _, c := range []struct{ in, out, undo string }{
		{"plain ünïcode\r\n\t\a\b", "plain ünïcode\r\n\t\a\b", ""},
		{"\x1b[31mred\x1b[0m \x1b[1;5H \x1b[2J \x1b[6n", "\x1b[31mred\x1b[0m \x1b[1;5H \x1b[2J \x1b[6n", ""},
		{"\x1b[1;31mred", "\x1b[1;31mred", "\x1b[0m"},
		{"\x1b[?1049h\x1b[?25l\x1b[?1000;1006h", "\x1b[?1049h\x1b[?25l\x1b[?1000;1006h", "\x1b[?1000l\x1b[?1006l\x1b[?1049l\x1b[?25h"},
		{"\x1b[?1049h\x1b[?1049l", "\x1b[?1049h\x1b[?1049l", ""},
		{"\x1b[>4;1m\x1b[>1u\x1b=\x1b(0\x1b[2;5r", "\x1b[>4;1m\x1b[>1u\x1b=\x1b(0\x1b[2;5r", "\x1b[<9u\x1b[=0u\x1b>\x1b[>4m\x1b(B\x1b7\x1b[r\x1b8"},
		{"\x1b[?2004h\x1bc", "\x1b[?2004h\x1bc", ""},
		{"\x1b]0;title\x07\x1b]8;;https://example.org\x1b\\", "\x1b]0;title\x07\x1b]8;;https://example.org\x1b\\", ""},
		{"\x1b]52;c;ZXZpbA==\x07clipboard", "clipboard", ""},
		{"\x1b]1337;File=name=x:AAAA\x07\x1b]777;notify;a;b\x07", "", ""},
		{"\x1b[21ttitle\x1b[5i\x1b[1;1;1;1;1;9*y\x1b[1$w", "title", ""},
		{"\x1bP$qm\x1b\\\x1b_Gf=100\x1b\\\x1b^x\x1b\\dcs", "dcs", ""},
		{"\x05\u009b21t\x9b", "21t", ""},
	} {
		var whole, split bytes.Buffer
		s, s2 := newScreen(), newScreen()
		_, _ = (&safeWriter{w: &whole, rules: s}).Write([]byte(c.in))
		w := &safeWriter{w: &split, rules: s2}
		for i := range len(c.in) {
			_, _ = w.Write([]byte(c.in[i : i+1]))
		}
		if whole.String() != c.out || split.String() != c.out || s.undo() != c.undo || s2.undo() != c.undo {
			t.Errorf("%q: %q and in pieces %q, undone by %q, want %q and %q", c.in, &whole, &split, s.undo(), c.out, c.undo)
		}
	}
}

func TestNothingShownAgainMakesTheTerminalAnswer(t *testing.T) {
	var out bytes.Buffer
	tty := newTTY(console{out: io.Discard})
	tty.w = &safeWriter{w: &out, rules: tty.screen}
	if err := tty.earlier([]byte("a\x1b[6n\x1b[c\x1b[>0c\x1b[?u\x1b[>0q\x1bZ\x1b[2 q\x1b[1mb")); err != nil {
		t.Fatal(err)
	}
	if _, err := tty.Write([]byte("\x1b[6n")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "a\x1b[2 q\x1b[1mb\x1b[6n" {
		t.Errorf("%q", got)
	}
}

func TestSomeKeysLeaveAProgramAlone(t *testing.T) {
	for _, c := range []struct {
		keys  string
		typed []string
		kept  string
		left  bool
	}{
		{usualLeave, []string{"ls\r\x10\x11rest"}, "ls\r", true},
		{usualLeave, []string{"\x10", "\x11"}, "", true},
		{usualLeave, []string{"\x10", "\x10x\x11"}, "\x10\x10x\x11", false},
		{usualLeave, []string{"\x10\x10\x11"}, "\x10", true},
		{"ctrl-a,d", []string{"d\x01", "d"}, "d", true},
		{"ctrl-]", []string{"x\x1d"}, "x", true},
		{"", []string{"\x10\x11"}, "\x10\x11", false},
	} {
		l, err := parseLeaver(c.keys)
		if err != nil {
			t.Fatal(err)
		}
		var kept, left = "", false
		for _, typed := range c.typed {
			b, now := l.pass([]byte(typed))
			kept, left = kept+string(b), left || now
		}
		if kept != c.kept || left != c.left {
			t.Errorf("%q, typed %q: %q, %v", c.keys, c.typed, kept, left)
		}
	}
	for _, bad := range []string{"ctrl-", "ctrl-1", "ctrl-p,", "shift-x", ","} {
		if _, err := parseLeaver(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzATerminalGetsNoStringsButTitlesAndLinks(f *testing.F) {
	f.Add([]byte("\x1b]52;c;x\x07"), uint8(3))
	f.Add([]byte("\x1b\x1b]0;\x1b]52;c;x\x07"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		var out bytes.Buffer
		w := &safeWriter{w: &out, rules: newScreen()}
		n := min(int(cut), len(in))
		_, _ = w.Write(in[:n])
		_, _ = w.Write(in[n:])
		for _, bad := range []string{"\x1b]5", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x05", "\u009b"} {
			if strings.Contains(out.String(), bad) {
				t.Fatalf("%q lets %q through", in, bad)
			}
		}
	})
}
