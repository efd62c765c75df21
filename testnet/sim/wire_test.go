package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/stream"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

var wireFrames = flag.Int("wire-frames", 250, "malformed frames sent to each protocol of a live node")

func strangerKey(number int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint32(seed, uint32(number))
	return ed25519.NewKeyFromSeed(seed)
}

// stranger is a host of its own, connected to a machine.
func stranger(t *testing.T, m *Machine, number int) *p2p.Host {
	t.Helper()
	h := m.wires.host(number, strangerKey(number))
	if _, err := h.ConnectAddr(t.Context(), m.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	return h
}

func idOf(t *testing.T, m *Machine) peer.ID {
	t.Helper()
	id, err := peer.Decode(m.ID())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// protocolsOf are our own stream protocols that a machine's node serves.
func protocolsOf(t *testing.T, h *p2p.Host, m *Machine) []protocol.ID {
	t.Helper()
	all, err := h.Libp2p().Peerstore().GetProtocols(idOf(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(id protocol.ID) bool { return !strings.HasPrefix(string(id), "/rigmesh/"+p2ptest.Network+"/") })
}

// Whatever comes in on any protocol, the node answers others as before, keeps nothing of
// it, and still gets a job done.
func TestMalformedFramesChangeNothing(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		h := stranger(t, m[1], 9)
		settle()
		served := protocolsOf(t, h, m[1])
		if len(served) < 6 {
			t.Fatalf("the node serves %v", served)
		}
		random := rand.New(rand.NewPCG(1, 2))
		garble(t, h, m[1], served, 20, random) // what is made once is made now
		goroutines, heap := footprint()
		garble(t, h, m[1], served, *wireFrames, random)
		moreGoroutines, moreHeap := footprint()
		t.Logf("%d frames to each of %d protocols: goroutines %d, then %d; heap %d KiB, then %d",
			*wireFrames, len(served), goroutines, moreGoroutines, heap>>10, moreHeap>>10)
		if moreGoroutines > goroutines+10 || moreHeap > heap+20<<20 {
			t.Error("the node keeps something of what it refused")
		}
		if err := offerOf(t.Context(), h, idOf(t, m[1])); err != nil {
			t.Errorf("the node does not answer any more: %v", err)
		}
		_, events := finish(t, m[0], submission(t, m[0], "exit 3"))
		exited(t, events, 3)
	})
}

func footprint() (goroutines int, heap uint64) {
	time.Sleep(time.Minute) // every deadline of what came in has passed
	synctest.Wait()
	goruntime.GC()
	var st goruntime.MemStats
	goruntime.ReadMemStats(&st)
	return goruntime.NumGoroutine(), st.HeapAlloc
}

func offerOf(ctx context.Context, h *p2p.Host, worker peer.ID) error {
	var resp marketv1.OfferResponse
	return stream.Call(ctx, h, worker, "offer", &marketv1.OfferRequest{}, &resp)
}

// garble sends n malformed conversations to each protocol, several at once.
func garble(t *testing.T, h *p2p.Host, m *Machine, served []protocol.ID, n int, random *rand.Rand) {
	t.Helper()
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for _, id := range served {
		for range n {
			bytes, end := nonsense(random), random.IntN(3)
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				say(t, h, idOf(t, m), id, bytes, end)
			})
		}
	}
	wg.Wait()
}

// say opens a stream, says something and leaves in one of three ways.
func say(t *testing.T, h *p2p.Host, to peer.ID, id protocol.ID, bytes []byte, end int) {
	s, err := h.Libp2p().NewStream(t.Context(), to, id)
	if err != nil {
		t.Errorf("open %s: %v", id, err)
		return
	}
	defer s.Reset()
	if _, err := s.Write(bytes); err != nil || end == 0 {
		return
	}
	if end == 1 {
		_ = s.CloseWrite()
	}
	_ = s.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.Copy(io.Discard, io.LimitReader(s, 1<<20))
}

// nonsense is the beginning of no good conversation.
func nonsense(random *rand.Rand) []byte {
	raw := make([]byte, 1+random.IntN(200))
	for i := range raw {
		raw[i] = byte(random.Uint32())
	}
	framed := append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)
	switch random.IntN(7) {
	case 0:
		return raw
	case 1:
		return framed
	case 2: // a length that nobody may have
		return append(binary.AppendUvarint(nil, random.Uint64()), raw...)
	case 3: // a length without an end
		return slices.Repeat([]byte{0xff}, 20)
	case 4: // less than was promised
		return framed[:len(framed)/2]
	case 5: // nothing, and then something
		return append([]byte{0, 0, 0}, framed...)
	default: // a statement that nobody signed
		b, _ := proto.Marshal(&marketv1.AskRequest{Announcement: &marketv1.Signed{Type: "announcement", Payload: raw, Signature: raw[:len(raw)/2]}})
		return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	}
}

func TestOtherNetworksAndVersionsAreNotSpoken(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		h := stranger(t, m[0], 9)
		for _, id := range []protocol.ID{"/rigmesh/other/offer/1", "/rigmesh/" + p2ptest.Network + "/offer/0", "/rigmesh/" + p2ptest.Network + "/offer/2"} {
			if s, err := h.Libp2p().NewStream(t.Context(), idOf(t, m[0]), id); err == nil {
				s.Reset()
				t.Errorf("%s is spoken", id)
			}
		}
		if err := offerOf(t.Context(), h, idOf(t, m[0])); err != nil {
			t.Errorf("the node's own version: %v", err)
		}
	})
}

// Who asks for a bid in a way that cannot be considered is told why, as whoever gets none is.
func TestAnAnnouncementThatCannotBeConsideredIsDeclinedWithTheReason(t *testing.T) {
	const invalid, expired = marketv1.DeclineReason_DECLINE_REASON_INVALID, marketv1.DeclineReason_DECLINE_REASON_EXPIRED
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		h, key := stranger(t, m[0], 9), strangerKey(9)
		spec := submission(t, m[0], "exit 0").Spec
		for name, c := range map[string]struct {
			change func(*marketv1.Announcement)
			reason marketv1.DeclineReason
			text   string
		}{
			"considered":      {func(*marketv1.Announcement) {}, 0, ""},
			"a later version": {func(a *marketv1.Announcement) { a.Version = 2 }, invalid, "unknown version 2"},
			"makes no sense":  {func(a *marketv1.Announcement) { a.Platform = "" }, invalid, "platform"},
			"another network": {func(a *marketv1.Announcement) { a.Network = "elsewhere" }, invalid, `network "elsewhere"`},
			"somebody else's": {func(a *marketv1.Announcement) { a.Requester = sessiontest.Public(m[0].key) }, invalid, "signature"},
			"a slow clock": {func(a *marketv1.Announcement) {
				a.IssuedMs, a.ExpiresMs = a.IssuedMs-time.Hour.Milliseconds(), a.ExpiresMs-time.Hour.Milliseconds()
			}, expired, "expired 59m"},
			"a fast clock": {func(a *marketv1.Announcement) {
				a.IssuedMs, a.ExpiresMs = a.IssuedMs+time.Hour.Milliseconds(), a.ExpiresMs+time.Hour.Milliseconds()
			}, expired, "issued 59m"},
		} {
			a := announcement(key, spec)
			c.change(a)
			payload, err := statement.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			signed := statement.SignPayload(key, statement.TypeAnnouncement, payload)
			hash := statement.HashPayload(string(statement.TypeAnnouncement), payload)
			var answer marketv1.Answer
			if err := stream.Call(t.Context(), h, idOf(t, m[0]), "ask", &marketv1.AskRequest{Announcement: signed}, &answer); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			d := answer.GetDecline()
			if (answer.GetBid() != nil) != (c.reason == 0) || d.GetReason() != c.reason || !strings.Contains(d.GetText(), c.text) || d != nil && !bytes.Equal(d.AnnouncementHash, hash[:]) {
				t.Errorf("%s: %v", name, &answer)
			}
		}
	})
}

// A thousand streams that say a byte a second are cut, and nobody else waits for them.
func TestSlowStreamsAreCutAndNobodyWaitsForThem(t *testing.T) {
	const peers, each = 50, 20
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		honest := stranger(t, m[0], 9)
		served := []protocol.ID{honest.Protocol("offer"), honest.Protocol("ask"), honest.Protocol("lease"), honest.Protocol("beat")}
		var wg sync.WaitGroup
		lasted := make(chan time.Duration, peers*each)
		for p := range peers {
			h := stranger(t, m[0], 10+p)
			for i := range each {
				wg.Go(func() { lasted <- drip(t, h, idOf(t, m[0]), served[i%len(served)]) })
			}
		}
		var waits []time.Duration
		for range 60 {
			began := time.Now()
			if err := offerOf(t.Context(), honest, idOf(t, m[0])); err != nil {
				t.Errorf("an honest peer is not answered: %v", err)
			}
			waits = append(waits, time.Since(began))
			time.Sleep(500 * time.Millisecond)
		}
		wg.Wait()
		close(lasted)
		var longest time.Duration
		for d := range lasted {
			longest = max(longest, d)
		}
		slices.Sort(waits)
		t.Logf("%d slow streams: the last was cut after %s; an honest peer was answered within %s", peers*each, longest, waits[len(waits)-1])
		// This is virtual time: what the rules of the node decide, not how fast this machine is.
		if longest > 16*time.Second || waits[len(waits)-1] > time.Second {
			t.Error("slow streams are not cut in time, or somebody waited for them")
		}
	})
}

// drip says one byte a second of a frame that will not end, until it is cut off.
func drip(t *testing.T, h *p2p.Host, to peer.ID, id protocol.ID) time.Duration {
	began := time.Now()
	s, err := h.Libp2p().NewStream(t.Context(), to, id)
	if err != nil {
		return 0
	}
	defer s.Reset()
	for b := []byte{0xff, 0x01}; ; b = b[:1] { // a length of 255
		if _, err := s.Write(b); err != nil {
			return time.Since(began)
		}
		_ = s.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := s.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return time.Since(began)
		}
	}
}
