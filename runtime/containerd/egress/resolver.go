//go:build linux

package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	goruntime "runtime"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

const (
	askWithin  = 10 * time.Second // for one question
	idleWithin = 30 * time.Second // between two of one connection
	maxAsking  = 32               // questions of one task at once
	maxAllowed = 4096             // addresses of one task
	answerTTL  = 60               // seconds
	dnsPort    = "53"
)

// server answers the questions of one task, on sockets inside its network namespace.
// Only addresses on the public internet are ever given: a name that leads home leads
// nowhere, whatever it meant a moment ago.
type server struct {
	policy runtime.Egress
	link   link
	lookup Lookup
	allow  func(netip.Addr) error // nil: everything public is allowed anyway
	asking chan struct{}

	sockets []io.Closer
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// serve answers a task's questions until its server is closed.
func (g *Gate) serve(t Task, l link) error {
	if g.servers[t.ID] != nil {
		return nil
	}
	packets, streams, err := listenIn(t.PID)
	if err != nil {
		return err
	}
	s := newServer(t.Policy, g.lookup)
	if !t.Policy.Public {
		s.allow = bounded(maxAllowed, func(a netip.Addr) error { return g.allow(l, a) })
	}
	s.link, s.sockets = l, []io.Closer{packets, streams}
	s.wg.Go(func() { s.packets(packets) })
	s.wg.Go(func() { s.streams(streams) })
	s.wg.Go(func() { g.lookAfter(s.ctx) })
	g.servers[t.ID] = s
	return nil
}

// errTooMany: a task has been given more addresses than it can need.
var errTooMany = errors.New("too many addresses")

// bounded passes on so many different addresses at a time and no more: a name with ever new
// ones would fill the kernel's memory. Those that the kernel has forgotten by now count no longer.
func bounded(most int, allow func(netip.Addr) error) func(netip.Addr) error {
	var mu sync.Mutex
	allowed := make(map[netip.Addr]time.Time) // when last
	return func(a netip.Addr) error {
		mu.Lock()
		now := time.Now()
		if len(allowed) >= most {
			maps.DeleteFunc(allowed, func(_ netip.Addr, last time.Time) bool { return now.Sub(last) > allowedFor })
		}
		if _, known := allowed[a]; !known && len(allowed) >= most {
			mu.Unlock()
			return errTooMany
		}
		allowed[a] = now
		mu.Unlock()
		return allow(a)
	}
}

func newServer(policy runtime.Egress, lookup Lookup) *server {
	ctx, cancel := context.WithCancel(context.Background())
	return &server{policy: policy, lookup: lookup, asking: make(chan struct{}, maxAsking), ctx: ctx, cancel: cancel}
}

// close does not wait: an answer under way may want the gate, which the caller holds. The
// sockets are free on return: another gate may follow.
func (s *server) close() {
	s.cancel()
	for _, c := range s.sockets {
		_ = c.Close()
	}
}

// listenIn opens the resolver's sockets in another process's network namespace. A socket
// stays in the one in which it was made.
func listenIn(pid int) (net.PacketConn, net.Listener, error) {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, nil, err
	}
	defer ns.Close()
	type sockets struct {
		packets net.PacketConn
		streams net.Listener
		err     error
	}
	made := make(chan sockets, 1)
	go func() {
		goruntime.LockOSThread() // for good: a thread in another namespace is of no use to others
		var s sockets
		if s.err = netns.Set(ns); s.err == nil {
			address := net.JoinHostPort(Nameserver, dnsPort)
			if s.packets, s.err = net.ListenPacket("udp4", address); s.err == nil {
				if s.streams, s.err = net.Listen("tcp4", address); s.err != nil {
					_ = s.packets.Close()
				}
			}
		}
		made <- s
	}()
	s := <-made
	return s.packets, s.streams, s.err
}

func (s *server) packets(conn net.PacketConn) {
	for {
		buf := make([]byte, 1500)
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		select {
		case s.asking <- struct{}{}:
		default:
			continue // it asks again
		}
		s.wg.Go(func() {
			defer func() { <-s.asking }()
			if answer := s.answer(buf[:n], 512); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		})
	}
}

func (s *server) streams(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		select {
		case s.asking <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		s.wg.Go(func() {
			defer func() { <-s.asking }()
			s.stream(conn)
		})
	}
}

// stream answers one connection: each message comes after its length.
func (s *server) stream(conn net.Conn) {
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		_ = conn.SetDeadline(time.Now().Add(idleWithin))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		answer := s.answer(question, 1<<16-1)
		if answer == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer is the message that answers another; nil where none is due.
func (s *server) answer(message []byte, most int) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired, RecursionAvailable: true}}
	q, err := p.Question()
	if err != nil || h.OpCode != 0 {
		reply.RCode = dnsmessage.RCodeFormatError
	} else {
		reply.Questions = []dnsmessage.Question{q}
		reply.RCode, reply.Answers = s.resolve(q)
	}
	packed, err := reply.Pack()
	if err == nil && len(packed) > most {
		reply.Truncated, reply.Answers = true, nil
		packed, err = reply.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}

// resolve looks a name up, once, and allows what it found before it says so.
func (s *server) resolve(q dnsmessage.Question) (dnsmessage.RCode, []dnsmessage.Resource) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	if q.Class != dnsmessage.ClassINET || !s.permits(name) {
		return dnsmessage.RCodeRefused, nil
	}
	network := map[dnsmessage.Type]string{dnsmessage.TypeA: "ip4", dnsmessage.TypeAAAA: "ip6"}[q.Type]
	if network == "" {
		return dnsmessage.RCodeSuccess, nil // the name may be there, and has nothing of this kind
	}
	ctx, cancel := context.WithTimeout(s.ctx, askWithin)
	defer cancel()
	addrs, err := s.lookup(ctx, network, name)
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return dnsmessage.RCodeNameError, nil
	}
	if err != nil {
		return dnsmessage.RCodeServerFailure, nil
	}
	var answers []dnsmessage.Resource
	code := dnsmessage.RCodeSuccess
	for _, a := range addrs {
		a = a.Unmap()
		if !publicnet.Has(a) || a.Is4() != (network == "ip4") {
			continue
		}
		if s.allow != nil {
			if err := s.allow(a); err != nil {
				code = dnsmessage.RCodeServerFailure // unless there is another
				continue
			}
		}
		answers = append(answers, resource(q, a))
	}
	if len(answers) > 0 {
		code = dnsmessage.RCodeSuccess
	}
	return code, answers
}

// permits says whether a task may ask for a name at all.
func (s *server) permits(name string) bool {
	if s.policy.Public {
		return true
	}
	for _, h := range s.policy.Hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		below, wild := strings.CutPrefix(h, "*.")
		if name == h || wild && strings.HasSuffix(name, "."+below) {
			return true
		}
	}
	return false
}

func resource(q dnsmessage.Question, a netip.Addr) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: answerTTL}}
	if a.Is4() {
		r.Body = &dnsmessage.AResource{A: a.As4()}
	} else {
		r.Body = &dnsmessage.AAAAResource{AAAA: a.As16()}
	}
	return r
}
