//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/testnet/vm/wire"
)

// guest is what runs in the machine, through its agent.
type guest struct {
	conn    net.Conn
	answers chan wire.Answer // closed when the machine is off
	boot    string           // the kernel's id of the start that was seen last
	last    int
}

func newGuest(conn net.Conn) *guest {
	g := &guest{conn: conn, answers: make(chan wire.Answer, 16)}
	go g.read()
	return g
}

func (g *guest) read() {
	defer close(g.answers)
	in := json.NewDecoder(g.conn)
	for {
		var a wire.Answer
		if in.Decode(&a) != nil {
			return
		}
		g.answers <- a
	}
}

func (g *guest) close() {
	_ = g.conn.Close()
	for range g.answers { // let the reader go
	}
}

// started waits until the machine has started, other than it had.
func (g *guest) started(ctx context.Context) error {
	for {
		a, err := g.next(ctx)
		if err != nil {
			return fmt.Errorf("wait for the machine to start: %w", err)
		}
		if a.ID == 0 && a.Boot != g.boot {
			g.boot = a.Boot
			return nil
		}
	}
}

func (g *guest) next(ctx context.Context) (wire.Answer, error) {
	select {
	case a, ok := <-g.answers:
		if !ok {
			return a, errors.New("the machine is off")
		}
		return a, nil
	case <-ctx.Done():
		return wire.Answer{}, ctx.Err()
	}
}

// send has a script run, and does not wait for its end.
func (g *guest) send(script string) (int, error) {
	if g == nil {
		return 0, errors.New("the machine is off")
	}
	g.last++
	if err := json.NewEncoder(g.conn).Encode(wire.Request{ID: g.last, Script: script}); err != nil {
		return 0, fmt.Errorf("ask the machine: %w", err)
	}
	return g.last, nil
}

// try runs a script, and gives what it printed and its exit code.
func (g *guest) try(ctx context.Context, script string) (string, int, error) {
	id, err := g.send(script)
	if err != nil {
		return "", 0, err
	}
	for {
		a, err := g.next(ctx)
		if err != nil {
			return "", 0, fmt.Errorf("run %q: %w", script, err)
		}
		if a.ID == id {
			return strings.TrimSpace(a.Output), a.Code, nil
		}
	}
}

// run is try for a script that must succeed.
func (g *guest) run(ctx context.Context, script string) (string, error) {
	out, code, err := g.try(ctx, script)
	if err == nil && code != 0 {
		err = fmt.Errorf("%q ended with %d in the machine: %s", script, code, out)
	}
	return out, err
}

// await runs a script again and again until it succeeds.
func (g *guest) await(ctx context.Context, script string) (string, error) {
	pause := time.NewTicker(2 * time.Second)
	defer pause.Stop()
	for {
		out, code, err := g.try(ctx, script)
		if err != nil || code == 0 {
			return out, err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return out, fmt.Errorf("%q did not come true in the machine: %s", script, out)
		}
	}
}
