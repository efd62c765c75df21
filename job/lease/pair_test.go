package lease

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

var update = flag.Bool("update", false, "rewrite golden files")

// epoch is when every lease of these tests begins.
var epoch = time.UnixMilli(1_800_000_000_000)

func testKey(name byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{name}, ed25519.SeedSize))
}

var (
	workerKey    = testKey('w')
	requesterKey = testKey('r')
)

func publicOf(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

func keyOf(r Role) ed25519.PrivateKey {
	if r == Worker {
		return workerKey
	}
	return requesterKey
}

func otherSide(r Role) Role { return Worker + Requester - r }

func testTerms() *leasev1.Terms {
	tag := statement.GPUTag("test", "GPU-1")
	return &leasev1.Terms{
		Version: 1, Network: "test",
		Worker: publicOf(workerKey), Requester: publicOf(requesterKey),
		WorkerNonce: bytes.Repeat([]byte{1}, 16), RequesterNonce: bytes.Repeat([]byte{2}, 16), JobId: bytes.Repeat([]byte{3}, 16),
		GpuTags: [][]byte{tag[:]}, Price: 3_600_000, MaxAmount: 1_000_000_000, // a micro-credit per millisecond
		IntervalMs: 60_000, GraceMs: 15_000, MaxUnpaid: 2, AbsentGraceMs: 1_800_000,
		StartByMs: epoch.Add(5 * time.Minute).UnixMilli(), MaxDurationMs: 86_400_000,
		SpecDigest: bytes.Repeat([]byte{4}, 32), ImageDigest: "sha256:00", Platform: "linux/amd64",
		CreatedMs: epoch.UnixMilli(),
	}
}

func sign(key ed25519.PrivateKey) func(statement.Type, []byte) *marketv1.Signed {
	return func(t statement.Type, payload []byte) *marketv1.Signed { return statement.SignPayload(key, t, payload) }
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func testConfig(r Role, terms *leasev1.Terms) Config {
	w := must(statement.Sign(workerKey, statement.TypeTerms, terms))
	q := must(statement.Sign(requesterKey, statement.TypeTerms, terms))
	return Config{Role: r, Agreement: must(NewAgreement(w, q)), Sign: sign(keyOf(r))}
}

func newLease(r Role, terms *leasev1.Terms) Lease { return must(New(testConfig(r, terms), epoch)) }

// side is a lease with its journal, as a session keeps it.
type side struct {
	config  Config
	lease   Lease
	journal []Recorded
}

func newSide(r Role, terms *leasev1.Terms) *side {
	c := testConfig(r, terms)
	return &side{config: c, lease: must(New(c, epoch))}
}

// step is what a session does before it performs anything.
func (s *side) step(now time.Time, ev Event) ([]Effect, error) {
	next, effects, err := s.lease.Step(now, ev)
	if err != nil {
		return nil, err
	}
	if s.lease.Repeats(ev, next, effects) {
		return effects, nil
	}
	s.journal = append(s.journal, Recorded{Now: now, Event: must(MarshalEvent(ev)), Statements: Statements(effects)})
	s.lease = next
	return effects, nil
}

// crash forgets everything but the journal.
func (s *side) crash() error {
	l, err := Replay(s.config, epoch, s.journal)
	if err == nil {
		s.lease = l
	}
	return err
}

// message is what travels: a signed statement, a resync, a seal or a wish to stop.
type message struct {
	from   Role
	signed *marketv1.Signed
	resync *leasev1.Resync
	seal   *leasev1.Seal
	stop   *time.Duration
}

// messageOf is what an effect puts on the wire, if anything.
func messageOf(from Role, ef Effect) (message, bool) {
	switch ef := ef.(type) {
	case Send:
		return message{from: from, signed: ef.Statement}, true
	case SendResync:
		return message{from: from, resync: ef.Resync}, true
	case SendSeal:
		return message{from: from, seal: ef.Seal}, true
	case SendStop:
		return message{from: from, stop: &ef.Grace}, true
	}
	return message{}, false
}

func (m message) kind() string {
	switch {
	case m.resync != nil:
		return "resync"
	case m.seal != nil:
		return "seal"
	case m.stop != nil:
		return "stop"
	case m.signed.Type == "close" && m.from == Requester:
		return "closing signature"
	}
	return m.signed.Type
}

// event is the message as its receiver's session hands it on. A seal is for the
// receiver's lease to open.
func (m message) event(evidence *leasev1.Evidence) (Event, error) {
	key := ed25519.PublicKey(publicOf(keyOf(m.from)))
	switch m.kind() {
	case "resync":
		return ResyncReceived{m.resync}, nil
	case "stop":
		return StopAsked{*m.stop}, nil
	case "challenge":
		v, err := statement.Open[*leasev1.Challenge](m.signed, statement.TypeChallenge, key)
		return Challenged{v, evidence}, err
	case "beat":
		v, err := statement.Open[*leasev1.Beat](m.signed, statement.TypeBeat, key)
		return BeatReceived{Beat: v, Observed: &leasev1.Observation{StdoutBytes: 7, Running: true}}, err
	case "ack":
		v, err := statement.Open[*leasev1.Ack](m.signed, statement.TypeAck, key)
		return Acked{v}, err
	case "close":
		v, err := statement.Open[*leasev1.Close](m.signed, statement.TypeClose, key)
		return CloseReceived{v}, err
	case "closing signature":
		v, err := statement.Open[*leasev1.Close](m.signed, statement.TypeClose, key)
		return CloseSigned{v}, err
	}
	return nil, fmt.Errorf("no event for %s", m.kind())
}

// randomFor is a tick's random bytes: a nonce that depends on n, and the offset
// of the next challenge.
func randomFor(n uint64, offset time.Duration) (random [RandomSize]byte) {
	for i := range 8 {
		random[i] = byte(n >> (8 * i))
		random[RandomSize-1-i] = byte(uint64(offset.Milliseconds()) >> (8 * i))
	}
	random[31] = 1
	return random
}

// fingerprint is everything of a lease that later steps depend on, if they come
// later.
func fingerprint(l Lease) [sha256.Size]byte {
	w, r := l.worker, l.requester
	root := l.chain.tree.Root()
	b := make([]byte, 0, 1024)
	for _, signed := range []*marketv1.Signed{l.chain.ack, l.closing.worker, l.closing.requester, w.slot.beat} {
		b = append(append(b, byte(len(signed.GetSignature()))), signed.GetSignature()...)
	}
	b = append(append(append(b, l.chain.head[:]...), l.prior.head[:]...), root[:]...)
	for _, t := range []time.Time{l.anchor, l.longAt, l.agreed, l.closing.retry, w.slot.arrived, w.meter.since, w.running, w.stopBy, r.next, r.first, r.paid} {
		b = binary.LittleEndian.AppendUint64(b, uint64(t.UnixMilli()))
	}
	b = append(b, l.chain.sealHash...)
	for _, n := range []uint64{l.longFrom, l.chain.sealed, l.chain.beats, l.chain.creditMS, w.floor, w.slot.seq, w.slot.interval, w.meter.countedMS, uint64(w.asleep), r.floor, uint64(r.stopGrace)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, byte(l.phase), byte(l.state), byte(w.stop))
	b = fmt.Append(b, l.settled, l.chain.unknown, l.prior.unknown, w.slot.used, w.slot.open, w.frozen, w.ended, w.timedOut, r.stopAsked)
	for _, nonces := range [][][]byte{w.nonces, w.slot.nonces, l.chain.nonces} {
		b = fmt.Appendf(b, "%x", nonces)
	}
	for _, a := range l.attests {
		b = append(b, a.signed.Signature...)
	}
	b = fmt.Append(b, len(l.chain.heads), len(l.latest), w.shown, w.came)
	if r.open != nil {
		b = fmt.Append(append(b, r.open.hash[:]...), r.open.shown)
	}
	return sha256.Sum256(b)
}
