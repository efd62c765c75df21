//go:build linux && cgo

package main

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"

	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
	"google.golang.org/protobuf/encoding/protodelim"
)

// alivePeriod is how often this process says that it runs.
const alivePeriod = 250 * time.Millisecond

// server answers one request, while other goroutines say that it lives: the
// call that answers it may never return.
type server struct {
	lib *library

	mu      sync.Mutex // of what follows
	out     io.Writer
	watched []*watched
}

func newServer(out io.Writer, lib *library) *server { return &server{out: out, lib: lib} }

// serve answers the one request that comes, and returns when the input ends.
func (s *server) serve(in io.Reader) error {
	go s.live()
	requests := bufio.NewReader(in)
	var req nvmlv1.Request
	if err := protodelim.UnmarshalFrom(requests, &req); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	go s.answer(&req)
	_, err := io.Copy(io.Discard, requests)
	return err
}

func (s *server) live() {
	for range time.Tick(alivePeriod) {
		s.send(&nvmlv1.Reply{What: &nvmlv1.Reply_Alive{Alive: &nvmlv1.Alive{Stuck: s.stuck()}}})
	}
}

// send writes one frame. Whoever stopped reading has stopped: the input ends with them, and this process with it.
func (s *server) send(r *nvmlv1.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = protodelim.MarshalTo(s.out, r)
}

func (s *server) answer(req *nvmlv1.Request) {
	reply, err := s.perform(req)
	if err != nil {
		failed := &nvmlv1.Error{Code: nvmlv1.Error_CODE_FAILED, Text: err.Error()}
		var f *failure
		if errors.As(err, &f) {
			failed.Code = f.code
		}
		reply = &nvmlv1.Reply{What: &nvmlv1.Reply_Error{Error: failed}}
	}
	s.send(reply)
}

func (s *server) perform(req *nvmlv1.Request) (*nvmlv1.Reply, error) {
	if want, ok := req.Want.(*nvmlv1.Request_Scrub); ok { // through CUDA alone
		scrubbed, err := scrub(want.Scrub.Uuid)
		return &nvmlv1.Reply{What: &nvmlv1.Reply_Scrubbed{Scrubbed: scrubbed}}, err
	}
	if err := s.lib.open(); err != nil {
		return nil, err
	}
	done := &nvmlv1.Reply{What: &nvmlv1.Reply_Done{Done: &nvmlv1.Done{}}}
	switch want := req.Want.(type) {
	case *nvmlv1.Request_Inventory:
		inventory, err := s.lib.inventory()
		return &nvmlv1.Reply{What: &nvmlv1.Reply_Inventory{Inventory: inventory}}, err
	case *nvmlv1.Request_Watch:
		return done, s.watch(time.Duration(want.Watch.PeriodMs) * time.Millisecond)
	case *nvmlv1.Request_PowerLimit:
		return done, s.lib.limitPower(want.PowerLimit.Uuid, want.PowerLimit.Milliwatts)
	case *nvmlv1.Request_Cdi:
		spec, err := s.lib.cdiSpec(want.Cdi.DriverRoot)
		return &nvmlv1.Reply{What: &nvmlv1.Reply_Cdi{Cdi: &nvmlv1.CDISpec{Json: spec}}}, err
	}
	return nil, errors.New("a request for nothing that this version knows")
}
