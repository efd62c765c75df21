package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
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
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// liar is a machine whose witness asks as an honest one does and then attests to
// another head than it was shown.
func liar(t *testing.T, worker *Machine, number int) (id string, asked *int) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	h := worker.wires.host(number, key)
	asked = new(int)
	stream.Accept(h, "witness", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
		var f leasev1.WatchFrame
		if c.Recv(&f) != nil {
			return
		}
		nonce := &leasev1.Nonce{Nonce: bytes.Repeat([]byte{7}, 32)}
		if c.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Nonce{Nonce: nonce}}) != nil || c.Recv(&f) != nil {
			return
		}
		*asked++
		_ = c.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Attest{Attest: lie(key, f.GetShown())}})
		_ = c.Recv(&f) // until the worker goes
	})
	if _, err := h.ConnectAddr(t.Context(), worker.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	return h.ID().String(), asked
}

// lie is a well-formed attestation to a head that is not the chain's.
func lie(key ed25519.PrivateKey, s *leasev1.Shown) *marketv1.Signed {
	var b leasev1.Beat
	_ = proto.Unmarshal(s.GetBeat().GetPayload(), &b)
	head := heartbeat.NextHead(s.GetBeat(), s.GetAck())
	head[0] ^= 1
	signed, _ := statement.Sign(key, statement.TypeAttest, &leasev1.Attest{
		Version: 1, LeaseId: b.LeaseId, Witness: 2, Seq: b.Seq, Head: head[:], TreeRoot: b.TreeRoot,
	})
	return signed
}

func TestALeaseWithThreeWitnessesOfWhichOneIsDeadAndOneLies(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:1", Price: price}, Setting{}, Setting{})
		honest, dead := m[2].ID(), m[3].ID()
		lying, asked := liar(t, m[1], len(m))
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
