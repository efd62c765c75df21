package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/rigmesh/rigmesh/job/port"
	"github.com/rigmesh/rigmesh/node/control"
)

// listeners take the connections that are to go to ports of a task.
type listeners []*listener

// listener is one forward that listens.
type listener struct {
	*net.TCPListener
	remote uint16

	mu   sync.Mutex
	last string // what was said of the connection before
}

// listen opens every forward on this machine, or none.
func listen(all forwards) (listeners, error) {
	var open listeners
	for _, f := range all {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(f.at))
		if err != nil {
			open.close()
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, hint(fmt.Errorf("port %s of this machine is taken", f.at), "name another one, as in OTHER:%d, or 0:%d for any that is free", f.remote, f.remote)
			}
			return nil, fmt.Errorf("listen for port %d of the task: %w", f.remote, err)
		}
		open = append(open, &listener{TCPListener: l, remote: f.remote})
	}
	return open, nil
}

// String says where the port is.
func (l *listener) String() string {
	return fmt.Sprintf("%s leads to port %d of the task", l.Addr(), l.remote)
}

func (ls listeners) close() {
	for _, l := range ls {
		_ = l.Close()
	}
}

// serve passes connections on until the function that it returns is called, which ends
// them. What goes wrong with one is said.
func (ls listeners) serve(ctx context.Context, client *control.Client, id string, say func(string, ...any)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, l := range ls {
		wg.Go(func() {
			for {
				conn, err := l.AcceptTCP()
				if err != nil {
					return // closed
				}
				wg.Go(func() { l.pass(ctx, client, id, conn, say) })
			}
		})
	}
	return func() {
		ls.close()
		cancel()
		wg.Wait()
	}
}

// pass carries one connection to the task and back, to its end.
func (l *listener) pass(ctx context.Context, client *control.Client, id string, conn *net.TCPConn, say func(string, ...any)) {
	defer conn.Close()
	task, err := client.Connect(ctx, id, l.remote)
	if err != nil {
		_ = conn.SetLinger(0) // refused, as the task would
		if said := fmt.Sprintf("port %d of the task: %v", l.remote, err); ctx.Err() == nil && l.fresh(said) {
			say("%s", said)
		}
		return
	}
	l.fresh("")
	defer task.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := port.Splice(task, conn); errors.Is(err, port.ErrCut) && ctx.Err() == nil {
		if said := fmt.Sprintf("port %d of the task: %v", l.remote, err); l.fresh(said) {
			say("%s", said)
		}
	}
}

// fresh says whether a text is not the one of the connection before: a browser tries often.
func (l *listener) fresh(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := text != l.last
	l.last = text
	return fresh
}
