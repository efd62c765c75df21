//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// desk is somebody at a terminal with a command in it.
type desk struct {
	n      *network
	cmd    *exec.Cmd
	before unix.Termios
	master *os.File
	slave  int // descriptor

	mu   sync.Mutex
	got  string
	more chan struct{} // closed and replaced when more was shown
}

// sit starts a command on a terminal of a size.
func (n *network) sit(rows, columns uint16, args ...string) *desk {
	n.t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		n.t.Fatal(err)
	}
	d := &desk{n: n, cmd: n.Command(n.ctx, args...), master: master, slave: int(slave.Fd()), more: make(chan struct{})}
	n.t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		n.t.Fatal(err)
	}
	d.before = d.settings()
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = slave, slave, slave
	d.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	d.cmd.Env = append(d.cmd.Environ(), "TERM=xterm-256color")
	if err := d.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			k, err := master.Read(buf)
			d.mu.Lock()
			d.got += string(buf[:k])
			close(d.more)
			d.more = make(chan struct{})
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return d
}

func (d *desk) settings() unix.Termios {
	d.n.t.Helper()
	s, err := unix.IoctlGetTermios(d.slave, unix.TCGETS)
	if err != nil {
		d.n.t.Fatal(err)
	}
	return *s
}

// types presses keys.
func (d *desk) types(keys string) {
	d.n.t.Helper()
	if _, err := d.master.Write([]byte(keys)); err != nil {
		d.n.t.Fatal(err)
	}
}

// sees waits for a text, and forgets what was shown up to it.
func (d *desk) sees(text string) {
	d.n.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		d.mu.Lock()
		_, rest, found := strings.Cut(d.got, text)
		if found {
			d.got = rest
		}
		got, more := d.got, d.more
		d.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-limit.C:
			d.n.t.Fatalf("no %q was shown after %q", text, got)
		}
	}
}

// leaves waits for the end of the command, which must leave the terminal as it was.
func (d *desk) leaves() (code int) {
	d.n.t.Helper()
	defer time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() }).Stop()
	_ = d.cmd.Wait()
	if after := d.settings(); after != d.before {
		d.n.t.Errorf("the terminal was %+v and is %+v", d.before, after)
	}
	return d.cmd.ProcessState.ExitCode()
}

func TestAShellInATaskHasTheTerminal(t *testing.T) {
	n := start(t)
	job := n.detach("oci-archive:"+n.Path("busybox.tar"), "sh", "-c", "echo ready; sleep 600")
	n.await(job, "ready")
	d := n.sit(40, 100, "exec", "--data", laptop, "-it", "-e", "PS1=at work>", job, "sh")
	d.sees("at work>")
	if raw := d.settings(); raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Errorf("keys do not all go to the program: %+v", raw)
	}
	d.types("stty size; echo $TERM; tty\r")
	d.sees("40 100\r\nxterm-256color\r\n/dev/pts/0\r\n")
	if err := pty.Setsize(d.master, &pty.Winsize{Rows: 50, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	d.types("until test \"$(stty size)\" = '50 120'; do :; done; echo is wider\r")
	d.sees("\r\nis wider\r\n")
	d.types("echo up; sleep 1000\r") // keys before that are the shell's own, which edits its line
	d.sees("\r\nup\r\n")
	d.types("\x03") // Ctrl-C
	d.sees("at work>")
	d.types("echo code $?\r")
	d.sees("\r\ncode 130\r\n")
	d.types("echo up; cat\r")
	d.sees("\r\nup\r\n")
	d.types("typed\r")
	d.sees("typed\r\ntyped\r\n") // once by the terminal, once by cat
	d.types("\x04")              // Ctrl-D
	d.sees("at work>")
	d.types("printf '\\033[31mred\\033[0m\\033]52;c;AAAA\\007\\033[?25l\\n'\r")
	d.sees("\x1b[31mred\x1b[0m\x1b[?25l\r\n")
	d.types("exit 7\r")
	d.sees("\x1b[?25h")
	if code := d.leaves(); code != 7 {
		t.Errorf("the shell ended with 7, and the command with %d", code)
	}
	// Somebody who ends the command from outside has the terminal back too.
	d = n.sit(24, 80, "exec", "--data", laptop, "-it", job, "sh", "-c", "trap '' TERM; echo here; while :; do sleep 1; done")
	d.sees("here\r\n")
	_ = d.cmd.Process.Signal(unix.SIGTERM)
	_ = d.cmd.Process.Signal(unix.SIGINT) // another: two of a kind can become one
	if code := d.leaves(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if r := n.rigmesh("stop", "--data", laptop, "--grace", "1s", job); r.code != 0 {
		t.Errorf("stop: %s", r.stderr)
	}
}

// leave are the keys that leave a terminal.
const leave = "\x10\x11" // Ctrl-P Ctrl-Q

func TestAJobsTerminalIsLeftAndComeBackTo(t *testing.T) {
	n := start(t)
	d := n.sit(30, 90, "run", "--data", laptop, "--bootstrap", n.bootstrap, "--simulated", "--interval", "1s", "-it", "-e", "PS1=at work>",
		"oci-archive:"+n.Path("busybox.tar"), "sh")
	d.sees("at work>")
	d.types("stty size; tty; x=kept\r")
	d.sees("30 90\r\n/dev/pts/0\r\n")
	d.sees("at work>")
	d.types(leave)
	d.sees("rigmesh attach")
	if code := d.leaves(); code != 0 {
		t.Errorf("left with code %d", code)
	}
	job := n.jobs()[0].Job
	back := func() *desk { return n.sit(50, 120, "attach", "--data", laptop, "--bootstrap", n.bootstrap, job) }
	d = back()
	d.sees("at work>") // what was written before
	d.types("echo $x; stty size\r")
	d.sees("\r\nkept\r\n50 120\r\n")
	d.types("echo up; sleep 1000\r")
	d.sees("\r\nup\r\n")
	d.types("\x03")
	d.sees("at work>")
	// The node dies that the terminal comes from: the terminal itself does not.
	if err := n.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	d.sees("rigmesh attach")
	if code := d.leaves(); code != 125 {
		t.Errorf("cut off with code %d", code)
	}
	n.startWorker()
	n.until(func() bool { return n.exec("", job, "true").code == 0 }, func() string { return "nothing runs in the task any more" })
	d = back()
	d.sees("kept")
	d.types("echo $x again; exit 5\r")
	d.sees("\r\nkept again\r\n")
	if code := d.leaves(); code != 5 {
		t.Errorf("the shell ended with 5, and the command with %d", code)
	}
	if out := n.rigmesh("logs", "--data", laptop, job).stdout; !strings.Contains(out, "kept again") {
		t.Errorf("the log: %q", out)
	}
}

func TestAShellThatSomebodyTypesAtIsStoppedLikeAnyJob(t *testing.T) {
	n := start(t)
	job := n.detach("-it", "-e", "PS1=at work>", "oci-archive:"+n.Path("busybox.tar"), "sh")
	d := n.sit(24, 80, "attach", "--data", laptop, job)
	d.sees("at work>")
	if r := n.rigmesh("stop", "--data", laptop, job); r.code != 0 { // such a shell ignores what asks others to end
		t.Errorf("stop: %s", r.stderr)
	}
	if code := d.leaves(); code != 129 {
		t.Errorf("it was not hung up: code %d", code)
	}
}

func TestAProgramIsLeftAlone(t *testing.T) {
	n := start(t)
	job := n.detach("oci-archive:"+n.Path("busybox.tar"), "sh", "-c", "echo ready; sleep 600")
	n.await(job, "ready")
	d := n.sit(24, 80, "exec", "--data", laptop, "-it", "--detach-keys", "ctrl-a,d", job, "sh", "-c",
		"echo here; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo went | tee /tmp/went")
	d.sees("here\r\n")
	d.types("\x01d")
	if code := d.leaves(); code != 0 {
		t.Errorf("left with code %d", code)
	}
	if r := n.exec("", job, "touch", "/tmp/go"); r.code != 0 {
		t.Fatal(r)
	}
	n.until(func() bool { return n.exec("", job, "cat", "/tmp/went").stdout == "went\n" }, func() string { return "the program that was left alone did not go on" })
	if r := n.rigmesh("stop", "--data", laptop, "--grace", "1s", job); r.code != 0 {
		t.Errorf("stop: %s", r.stderr)
	}
}
