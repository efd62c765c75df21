//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/testnet/vm/wire"
)

// machine is an emulated computer, off when made. One goroutine uses it.
type machine struct {
	dir   string // its disks and sockets; short, for a socket's name ends at 108 bytes
	image image
	cmd   *exec.Cmd // nil: off
	ended chan struct{}
	guest *guest
	qmp   *monitor
}

// on switches the machine on, and waits until its agent answers. KVM is not used:
// the machine is the same wherever it runs.
func (m *machine) on(ctx context.Context) error {
	if m.cmd != nil {
		return errors.New("the machine is on")
	}
	log, err := os.OpenFile(m.path("console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("nice", append([]string{"-n", "15", "qemu-system-x86_64"}, m.arguments()...)...)
	cmd.Stdout, cmd.Stderr = log, log
	// No emulator outlives us, however we end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the emulator: %w", err)
	}
	m.cmd, m.ended = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is always ended by force, or its log says why it ended
		close(m.ended)
	}()
	if err := m.connect(ctx); err != nil {
		return fmt.Errorf("%w\nthe console's last lines:\n%s", err, m.lastWords())
	}
	return nil
}

func (m *machine) arguments() []string {
	drive := func(file, cache string) string {
		return "file=" + file + ",format=raw,if=virtio,discard=unmap,cache=" + cache
	}
	return []string{
		"-nodefaults", "-no-user-config", "-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "2G", "-display", "none",
		"-kernel", m.image.kernel, "-initrd", m.image.initrd,
		// A slow emulator is no reason to believe that the kernel or a service hangs.
		"-append", "root=LABEL=" + rootLabel + " rw console=ttyS0 quiet panic=-1 no_timer_check nowatchdog mitigations=off systemd.show_status=0 systemd.default_timeout_start_sec=1200 net.ifnames=0",
		"-serial", "stdio",
		"-drive", drive(m.path("root.ext4"), "writeback"),
		"-drive", drive(m.path("data.ext4"), "writeback"),
		"-drive", drive(m.path("tools.ext4"), "writeback") + ",readonly=on",
		"-netdev", "tap,id=wire,ifname=" + hostDevice + ",script=no,downscript=no",
		"-device", "virtio-net-pci,netdev=wire,romfile=",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=agent,server=on,wait=off,path=" + m.path("agent.sock"),
		"-device", "virtserialport,chardev=agent,name=" + wire.Port,
		"-device", "virtio-rng-pci",
		"-qmp", "unix:" + m.path("qmp.sock") + ",server=on,wait=off",
	}
}

// connect reaches the agent and the emulator's monitor, and waits for the start.
func (m *machine) connect(ctx context.Context) error {
	agent, err := m.dial(ctx, "agent.sock")
	if err != nil {
		return err
	}
	qmp, err := m.dial(ctx, "qmp.sock")
	if err != nil {
		return err
	}
	m.guest = newGuest(agent)
	m.qmp = &monitor{conn: qmp, in: json.NewDecoder(qmp)}
	if err := m.qmp.do("qmp_capabilities"); err != nil {
		return err
	}
	return m.guest.started(ctx)
}

func (m *machine) dial(ctx context.Context, socket string) (net.Conn, error) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		conn, err := net.Dial("unix", m.path(socket))
		if err == nil {
			return conn, nil
		}
		select {
		case <-m.ended:
			return nil, errors.New("the emulator ended")
		case <-ctx.Done():
			return nil, fmt.Errorf("the emulator does not answer: %w", err)
		case <-pause.C:
		}
	}
}

// off cuts the power. What the machine had not given to its disks is lost.
func (m *machine) off() {
	if m.cmd == nil {
		return
	}
	_ = syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL) // it may have ended already
	<-m.ended
	if m.guest != nil {
		m.guest.close()
	}
	m.cmd, m.guest, m.qmp = nil, nil, nil
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) lastWords() string {
	log, err := os.ReadFile(m.path("console.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// monitor speaks the emulator's QMP.
type monitor struct {
	conn net.Conn
	in   *json.Decoder
}

// do has the emulator do one thing.
func (q *monitor) do(execute string) error {
	if _, err := fmt.Fprintf(q.conn, "{\"execute\":%q}\n", execute); err != nil {
		return fmt.Errorf("ask the emulator to %s: %w", execute, err)
	}
	for {
		var reply struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := q.in.Decode(&reply); err != nil {
			return fmt.Errorf("ask the emulator to %s: %w", execute, err)
		}
		switch { // greetings and events come in between
		case reply.Error != nil:
			return fmt.Errorf("the emulator does not %s: %s", execute, reply.Error.Desc)
		case reply.Return != nil:
			return nil
		}
	}
}
