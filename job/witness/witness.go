// Package witness watches leases that two other nodes agreed to have watched by
// this one, and attests to their chains. What it says and when is package attest;
// here are the streams, the journal, and who is watched at all.
package witness

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Kinds of records in the journal. All records of a lease have its id as key.
const (
	KindWatch  = "witness.watch"  // begins to watch a lease; the event is the Watch
	KindAttest = "witness.attest" // an attestation
	KindOver   = "witness.over"   // the lease has ended
)

// Config is everything a witness needs.
type Config struct {
	Key     ed25519.PrivateKey
	Network string
	Now     func() time.Time
	Journal session.Journal
	Log     *slog.Logger
}

// Witness watches leases. Create it with New and give it what the journal holds
// with Restore, before anything is served.
type Witness struct {
	Config
	self ed25519.PublicKey

	mu      sync.Mutex
	watches map[statement.Hash]*watched
}

// watched is one lease. What belongs to it is behind the witness's mu.
type watched struct {
	attest.Watch
	terms  *leasev1.Watch
	last   *marketv1.Signed // attestation
	over   bool
	stream uint64 // the newest one; an older one is let go
}

// New makes a witness. It starts nothing.
func New(c Config) *Witness {
	return &Witness{Config: c, self: c.Key.Public().(ed25519.PublicKey), watches: map[statement.Hash]*watched{}}
}

// refusal is a typed reason not to watch.
type refusal struct {
	reason  leasev1.WatchRefusal
	text    string
	overlap *leasev1.Overlap
}

func (r refusal) Error() string { return r.text }

func refuse(reason leasev1.WatchRefusal, format string, args ...any) error {
	return refusal{reason: reason, text: fmt.Sprintf(format, args...)}
}

// attest signs what is to be said of a beat, once it is durable. ErrNotAsked.
func (w *Witness) attest(k *watched, s *leasev1.Shown) (*marketv1.Signed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Now()
	m, err := k.Attest(now, s)
	if errors.Is(err, attest.ErrNotAsked) {
		return nil, err
	}
	if err != nil {
		return nil, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_INVALID, "%v", err)
	}
	if k.last != nil && m.GetSeq() == lastSeq(k.last) {
		return k.last, nil
	}
	signed, err := statement.Sign(w.Key, statement.TypeAttest, m)
	if err != nil {
		return nil, err
	}
	said, err := statement.Open[*leasev1.Attest](signed, statement.TypeAttest, w.self)
	if err != nil {
		return nil, err
	}
	if err := w.append(k.ID(), KindAttest, nil, signed); err != nil {
		return nil, err
	}
	k.Watch, k.last = k.Said(now, said), signed
	return signed, nil
}

func lastSeq(s *marketv1.Signed) uint64 {
	var a leasev1.Attest
	if err := proto.Unmarshal(s.GetPayload(), &a); err != nil {
		return 0 // these bytes were verified before they were kept
	}
	return a.Seq
}

// end remembers that a lease is over.
func (w *Witness) end(k *watched) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k.over {
		return nil
	}
	k.over = true
	return w.append(k.ID(), KindOver, nil)
}

func (w *Witness) append(id statement.Hash, kind string, event []byte, said ...*marketv1.Signed) error {
	rec := journal.Record{Key: job.LeaseID(id).String(), Kind: kind, At: w.Now(), Event: event}
	for _, s := range said {
		b, err := proto.Marshal(s)
		if err != nil {
			return err
		}
		rec.Statements = append(rec.Statements, b)
	}
	if err := w.Journal.Append(rec); err != nil {
		return fmt.Errorf("journal watched lease %s: %w", job.LeaseID(id).Short(), err)
	}
	return nil
}

// random is fresh randomness for a watch.
func random() (r [attest.RandomSize]byte) {
	_, _ = rand.Read(r[:]) // never fails: crypto/rand ends the process instead
	return r
}

// Serve watches a lease for as long as its worker keeps the stream, or ctx lives.
func (w *Witness) Serve(ctx context.Context, link session.Link) error {
	var f leasev1.WatchFrame
	if err := link.Recv(&f); err != nil {
		return err
	}
	w.mu.Lock()
	k, err := w.begin(link, f.GetWatch())
	var hello []*leasev1.WitnessFrame
	if err == nil {
		k.stream++
		hello = k.hello()
	}
	w.mu.Unlock()
	if err != nil {
		return w.refused(link, err)
	}
	for _, m := range hello {
		if err := link.Send(m); err != nil {
			return err
		}
	}
	s := stream{w: w, k: k, link: link, number: k.stream}
	return w.refused(link, s.run(ctx))
}

// hello is what a new stream begins with: what the worker may not have heard.
func (k *watched) hello() []*leasev1.WitnessFrame {
	var out []*leasev1.WitnessFrame
	if k.last != nil {
		out = append(out, &leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Attest{Attest: k.last}})
	}
	if n := k.Waiting(); n != nil {
		out = append(out, &leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Nonce{Nonce: n}})
	}
	return out
}

// refused tells the worker a typed reason; any other error is the caller's.
func (w *Witness) refused(link session.Link, err error) error {
	var no refusal
	if !errors.As(err, &no) {
		return err
	}
	w.Log.Info("lease not watched", "peer", link.Peer(), "reason", no.text)
	return link.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Refused{Refused: &leasev1.WatchRefused{
		Reason: no.reason, Text: job.CleanText(no.text), Overlap: no.overlap,
	}}})
}
