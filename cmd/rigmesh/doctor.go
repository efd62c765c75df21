package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// checkup is what doctor found about one thing.
type checkup struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Says  string `json:"says"`
	Fix   string `json:"fix,omitempty"` // the command that would fix it, or what to do
}

func doctorCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        "doctor",
		Usage:       "look whether this machine can lend its GPUs, and say what to fix",
		Category:    categoryLend,
		Description: "Exits with 1 when something has to be fixed.\n\n" + examples("sudo rigmesh doctor", "rigmesh doctor --json"),
		Flags:       []cli.Flag{jsonFlag()},
		Action:      func(c *cli.Context) error { return doctor(c, k) },
	}, arguments{0, 0})
}

func doctor(c *cli.Context, k console) error {
	cfg, err := settings(c, k)
	if err != nil {
		return err
	}
	var all []checkup
	for _, check := range append(machineChecks, checkClock, checkPorts, checkDisk, checkReach, checkNode) {
		all = append(all, check(c.Context, cfg))
	}
	bad := 0
	for _, f := range all {
		if !f.OK {
			bad++
		}
	}
	if c.Bool("json") {
		err = printJSON(k.out, all)
	} else {
		t := newTable(k.out, "", "CHECK", "WHAT WAS FOUND", "FIX")
		for _, f := range all {
			t.row(map[bool]string{true: "ok", false: "fix"}[f.OK], f.Check, f.Says, f.Fix)
		}
		err = t.flush()
	}
	if err == nil && bad > 0 {
		return &exitError{code: 1, err: fmt.Errorf("%s to fix", several(uint32(bad), "thing"))}
	}
	return err
}

func good(check, format string, args ...any) checkup {
	return checkup{Check: check, OK: true, Says: fmt.Sprintf(format, args...)}
}

func wrong(check, fix, format string, args ...any) checkup {
	return checkup{Check: check, Says: fmt.Sprintf(format, args...), Fix: fix}
}

// checkClock compares the clock with when files of the system were made, because no
// stranger is asked for the time: a clock that lost its battery is years back.
func checkClock(context.Context, config.Config) checkup {
	exe, err := os.Executable()
	if err == nil {
		if st, err := os.Stat(exe); err == nil && time.Now().Before(st.ModTime().Add(-time.Minute)) {
			return wrong("clock", "timedatectl set-ntp true", "it says %s, before this program was made", time.Now().Format(time.DateTime))
		}
	}
	return good("clock", "%s", time.Now().Format(time.DateTime+" MST"))
}

// checkPorts binds what the node would listen on, when no node does.
func checkPorts(ctx context.Context, cfg config.Config) checkup {
	if client, err := control.Dial(ctx, cfg.DataDir); err == nil {
		defer client.Close()
		if st, err := client.Status(ctx); err == nil {
			return good("ports", "the node listens on %s", strings.Join(st.Addresses, " "))
		}
	}
	for _, network := range []string{"tcp", "udp"} {
		var err error
		if network == "tcp" {
			var l net.Listener
			if l, err = (&net.ListenConfig{}).Listen(ctx, network, "0.0.0.0:0"); err == nil {
				_ = l.Close()
			}
		} else {
			var p net.PacketConn
			if p, err = (&net.ListenConfig{}).ListenPacket(ctx, network, "0.0.0.0:0"); err == nil {
				_ = p.Close()
			}
		}
		if err != nil {
			return wrong("ports", "look at limits of this user and at seccomp of the container it runs in", "cannot listen on %s: %v", network, err)
		}
	}
	return good("ports", "this machine can listen; nothing has to be forwarded")
}

// checkReach asks the node how it is reached, and what it saw of a NAT.
func checkReach(ctx context.Context, cfg config.Config) checkup {
	client, err := control.Dial(ctx, cfg.DataDir)
	if err != nil {
		return good("reach", "known once a node runs and has met others")
	}
	defer client.Close()
	r, err := client.Reach(ctx)
	if err != nil {
		return wrong("reach", "rigmesh down, then rigmesh up", "%v", err)
	}
	if r.Reach == controlv1.Reach_REACH_NONE {
		return wrong("reach", "forward a port in your router and name it with --listen, or add a --bootstrap node with a public address",
			"%s. %s", reached(r), natSeen(r))
	}
	if r.Loopback {
		return good("reach", "%s", reached(r))
	}
	return good("reach", "%s. %s", reached(r), natSeen(r))
}

// leastDisk is what images and tasks want at least, in bytes.
const leastDisk = 10 << 30

func checkDisk(_ context.Context, cfg config.Config) checkup {
	dir := cfg.DataDir
	for !exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	room, err := runtime.RoomUnder(dir)
	free := uint64(room.Bytes)
	switch {
	case err != nil:
		return wrong("disk", "rigmesh up --data DIR on a disk that can be read", "%v", err)
	case room.NoFiles():
		return wrong("disk", "remove files, or use another disk with --data DIR", "no more files fit on the disk of %s", dir)
	case free < leastDisk:
		return wrong("disk", "make room, or use another disk with --data DIR", "%s free under %s, and images want %s at least", size(free), dir, size(leastDisk))
	}
	return good("disk", "%s free under %s", size(free), dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checkNode asks the node what troubles it.
func checkNode(ctx context.Context, cfg config.Config) checkup {
	client, err := control.Dial(ctx, cfg.DataDir)
	if errors.Is(err, control.ErrNotRunning) {
		return good("node", "none runs on %s", cfg.DataDir)
	}
	if err != nil {
		return wrong("node", "DATADIR/node.log, or the terminal of rigmesh up, says why", "%v", err)
	}
	defer client.Close()
	st, err := client.Status(ctx)
	if err != nil {
		return wrong("node", "rigmesh down, then rigmesh up", "%v", err)
	}
	for _, c := range st.Conditions {
		if c.Severity == "error" {
			return wrong("node", c.Remedy, "%s", c.Sentence)
		}
	}
	return good("node", "pid %d, %s connected", st.Pid, several(st.ConnectedPeers, "peer"))
}
