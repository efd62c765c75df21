package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// watcher is a machine that does nothing but be a witness in a way of its own. It has
// given out a nonce when answer gets the stream.
func watcher(t *testing.T, worker *Machine, number int, answer func(ed25519.PrivateKey, *stream.Conn)) (id string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	h := worker.wires.host(number, key)
	stream.Accept(h, "witness", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
		var f leasev1.WatchFrame
		nonce := &leasev1.Nonce{Nonce: bytes.Repeat([]byte{7}, 32)}
		if c.Recv(&f) == nil && c.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Nonce{Nonce: nonce}}) == nil {
			answer(key, c)
		}
	})
	if _, err := h.ConnectAddr(t.Context(), worker.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	return h.ID().String()
}

// liar is a witness that asks as an honest one does and then attests, as the one of a
// place in the terms, to something else than it was shown.
func liar(t *testing.T, worker *Machine, number int, place uint32, change func(*leasev1.Attest)) (id string, asked *int) {
	asked = new(int)
	return watcher(t, worker, number, func(key ed25519.PrivateKey, c *stream.Conn) {
		var f leasev1.WatchFrame
		if c.Recv(&f) != nil {
			return
		}
		*asked++
		lie := attestation(f.GetShown(), place)
		change(lie)
		signed, _ := statement.Sign(key, statement.TypeAttest, lie)
		_ = c.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Attest{Attest: signed}})
		_ = c.Recv(&f) // until the worker goes
	}), asked
}

// late is a witness that attests to the last beat it was shown when it hears that the
// lease is over.
func late(t *testing.T, worker *Machine, number int) (id string) {
	return watcher(t, worker, number, func(key ed25519.PrivateKey, c *stream.Conn) {
		var shown *leasev1.Shown
		for {
			f := &leasev1.WatchFrame{}
			if c.Recv(f) != nil {
				return
			}
			if f.GetOver() != nil {
				break
			}
			shown = f.GetShown()
		}
		time.Sleep(time.Second)
		signed, _ := statement.Sign(key, statement.TypeAttest, attestation(shown, 0))
		_ = c.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Attest{Attest: signed}})
	})
}

// attestation is what a witness says of a beat that it was shown.
func attestation(s *leasev1.Shown, witness uint32) *leasev1.Attest {
	var b leasev1.Beat
	_ = proto.Unmarshal(s.GetBeat().GetPayload(), &b)
	head := heartbeat.NextHead(s.GetBeat(), s.GetAck())
	tree, _ := heartbeat.TreeFrom(b.Seq+1, s.GetTree())
	root, now := tree.Append(head).Root(), time.Now().UnixMilli()
	return &leasev1.Attest{
		Version: 1, LeaseId: b.LeaseId, Witness: witness, Seq: b.Seq, Head: head[:], TreeRoot: root[:],
		CreditMs: b.CreditMs, FirstMs: now, AskedMs: now, AttestedMs: now,
	}
}

// shows says whether what people see of the receipt on both sides has a line.
func shows(t *testing.T, line, lease string, sides ...*Machine) {
	t.Helper()
	for _, m := range sides {
		s, err := receipt.Verify(receiptOf(t, m, lease))
		var page strings.Builder
		if err := errors.Join(err, s.Text(&page)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page.String(), line) {
			t.Errorf("%s has no %q:\n%s", m.ID(), line, page.String())
		}
	}
}

func TestWhatAWitnessAttestsAfterTheEndIsInBothReceipts(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:1", Price: price})
		witness := late(t, m[1], len(m))
		settle()
		sub := submission(t, m[0], "sleep 20s")
		sub.Witnesses = []string{witness}
		_, events := finish(t, m[0], sub)
		lease := exited(t, events, 0).LeaseId
		time.Sleep(10 * time.Second)
		agreed(t, m[0], m[1], lease)
		shows(t, "signed by both; witnessed 1 of 1", lease, m[0], m[1])
	})
}

func TestALeaseWithThreeWitnessesOfWhichOneIsDeadAndOneLies(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:1", Price: price}, Setting{}, Setting{})
		honest, dead := m[2].ID(), m[3].ID()
		lying, asked := liar(t, m[1], len(m), 2, func(a *leasev1.Attest) { a.Head[0] ^= 1 })
		settle()
		m[3].Stop()
		sub := submission(t, m[0], "sleep 32m")
		sub.IntervalMs = 20_000
		sub.Witnesses = []string{honest, dead, lying}
		_, events := finish(t, m[0], sub)
		end := exited(t, events, 0)
		s := agreed(t, m[0], m[1], end.LeaseId)
		credited(t, s, 31*time.Minute, 33*time.Minute)
		r, err := receipt.Parse(receiptOf(t, m[0], end.LeaseId))
		if err != nil {
			t.Fatal(err)
		}
		var terms leasev1.Terms
		var last leasev1.Beat
		if err := proto.Unmarshal(r.Terms, &terms); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(r.LastBeat.Payload, &last); err != nil {
			t.Fatal(err)
		}
		if len(terms.Witnesses) != 3 || terms.WitnessQuorum != 2 {
			t.Errorf("terms name %d witnesses, quorum %d", len(terms.Witnesses), terms.WitnessQuorum)
		}
		if n := len(r.Witnessed); n < 3 || n > 4 {
			t.Errorf("%d attestations in a bit more than three periods of one honest witness", n)
		}
		for _, w := range r.Witnessed {
			var a leasev1.Attest
			if err := proto.Unmarshal(w.Attest, &a); err != nil {
				t.Fatal(err)
			}
			var path [][]byte
			for _, at := range w.Path {
				path = append(path, r.Hashes[at])
			}
			if a.Witness != 0 || a.AttestedMs-a.AskedMs > 60_000 {
				t.Errorf("%v: only the honest one counts, and a beat is never far", &a)
			}
			if a.Seq == last.Seq {
				continue
			}
			if err := heartbeat.CheckPath(path, last.Seq+1, last.TreeRoot, a.Seq+1, a.Head); err != nil {
				t.Error(err)
			}
		}
		if *asked == 0 {
			t.Error("the liar was never shown a beat")
		}
		shows(t, "signed by both; witnessed 1 of 3", end.LeaseId, m[0], m[1])
	})
}

func TestAWitnessThatAttestsToOtherCreditCostsNobodyAReceipt(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:1", Price: price}, Setting{})
		lying, asked := liar(t, m[1], len(m), 1, func(a *leasev1.Attest) { a.CreditMs = 1 << 63 })
		settle()
		sub := submission(t, m[0], "sleep 5m")
		sub.Witnesses = []string{m[2].ID(), lying}
		_, events := finish(t, m[0], sub)
		lease := exited(t, events, 0).LeaseId
		agreed(t, m[0], m[1], lease)
		if *asked == 0 {
			t.Error("the liar was never shown a beat")
		}
		shows(t, "signed by both; witnessed 1 of 2", lease, m[0], m[1])
	})
}

// TestAnyWitnessesAreChosenAmongConnectedPeers asks for two of whoever there is.
func TestAnyWitnessesAreChosenAmongConnectedPeers(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:1", Price: price}, Setting{}, Setting{})
		settle()
		sub := submission(t, m[0], "sleep 5m")
		sub.AnyWitnesses = 2
		_, events := finish(t, m[0], sub)
		end := exited(t, events, 0)
		r, err := receipt.Parse(receiptOf(t, m[0], end.LeaseId))
		if err != nil {
			t.Fatal(err)
		}
		var terms leasev1.Terms
		if err := proto.Unmarshal(r.Terms, &terms); err != nil {
			t.Fatal(err)
		}
		for _, key := range terms.Witnesses {
			id, err := job.PeerID(key)
			if err != nil || id.String() == m[0].ID() || id.String() == m[1].ID() {
				t.Errorf("witness %s (%v) is one of the two sides", id, err)
			}
		}
		if len(terms.Witnesses) != 2 || len(r.Witnessed) != 2 {
			t.Errorf("%d witnesses in the terms, %d attestations", len(terms.Witnesses), len(r.Witnessed))
		}
	})
}
