package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
)

// The lease of these tests and of the worked example in SPEC.md: two beats and
// a close, ten seconds an interval, keys from seeds of one repeated byte.

const beginMs = 1_800_000_000_000

func keyFrom(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

var workerKey, requesterKey = keyFrom(0x77), keyFrom(0x72)

func publicOf(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func exampleTerms() *leasev1.Terms {
	tag := statement.GPUTag("main", "GPU-00000000-0000-0000-0000-000000000001")
	return &leasev1.Terms{
		Version: 1, Network: "main",
		Worker: publicOf(workerKey), Requester: publicOf(requesterKey),
		WorkerNonce: bytes.Repeat([]byte{1}, 16), RequesterNonce: bytes.Repeat([]byte{2}, 16), JobId: bytes.Repeat([]byte{3}, 16),
		GpuTags: [][]byte{tag[:]}, Price: 350_000, MaxAmount: 350_000,
		IntervalMs: 10_000, GraceMs: 2_000, MaxUnpaid: 2, AbsentGraceMs: 60_000,
		StartByMs: beginMs + 60_000, MaxDurationMs: 3_600_000,
		SpecDigest:  bytes.Repeat([]byte{4}, 32),
		ImageDigest: "sha256:0505050505050505050505050505050505050505050505050505050505050505",
		Platform:    "linux/amd64", CreatedMs: beginMs - 1_000,
	}
}

// sides are both sides of a lease, wired to each other.
type sides struct {
	t     testing.TB
	at    time.Time
	lease map[lease.Role]lease.Lease
	said  []*marketv1.Signed // everything that was signed, in order
	deaf  lease.Role         // hears nothing
	pads  lease.Role         // puts something of its own beside all that it says

	config  map[lease.Role]lease.Config
	records map[lease.Role][]lease.Recorded // the journals
}

func begin(t testing.TB, terms *leasev1.Terms) *sides {
	s := &sides{
		t: t, at: time.UnixMilli(beginMs), lease: map[lease.Role]lease.Lease{},
		config: map[lease.Role]lease.Config{}, records: map[lease.Role][]lease.Recorded{},
	}
	w := must(statement.Sign(workerKey, statement.TypeTerms, terms))
	r := must(statement.Sign(requesterKey, statement.TypeTerms, terms))
	s.said = append(s.said, w, r)
	agreement := must(lease.NewAgreement(w, r))
	for role, key := range map[lease.Role]ed25519.PrivateKey{lease.Worker: workerKey, lease.Requester: requesterKey} {
		sign := func(t statement.Type, payload []byte) *marketv1.Signed {
			return statement.SignPayload(key, t, payload)
		}
		s.config[role] = lease.Config{Role: role, Agreement: agreement, Sign: sign}
		s.lease[role] = must(lease.New(s.config[role], s.at))
	}
	return s
}

func (s *sides) step(r lease.Role, ev lease.Event) {
	next, effects, err := s.lease[r].Step(s.at, ev)
	if err != nil {
		s.t.Fatalf("%s: %v", r, err)
	}
	s.lease[r] = next
	record := lease.Recorded{Now: s.at, Event: must(lease.MarshalEvent(ev)), Statements: lease.Statements(effects)}
	s.records[r] = append(s.records[r], record)
	for _, signed := range lease.Statements(effects) {
		s.said = append(s.said, signed)
		if r == s.pads {
			signed = padded(signed)
		}
		if to := lease.Worker + lease.Requester - r; to != s.deaf {
			s.step(to, s.event(r, signed))
		}
	}
}

// padded is a statement with a field beside it that nobody signed.
func padded(s *marketv1.Signed) *marketv1.Signed {
	out := proto.CloneOf(s)
	out.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01})
	return out
}

// exampleSamples are those of a task on one device that takes half of its time
// and 200 W: one for each second.
func exampleSamples(first, end uint64) [][]byte {
	var out [][]byte
	for i := first; i < end; i++ {
		out = append(out, must(evidence.Marshal(&leasev1.Sample{
			AtMs: beginMs + 1_000 + 1_000*int64(i), Running: true, CpuMs: 60 * i, MemoryBytes: 1 << 20,
			Devices: []*leasev1.DeviceSample{{
				Tag: exampleTerms().GpuTags[0], Utilization: 50, MemoryBytes: 1 << 30, PowerMw: 200_000, PowerLimitMw: 450_000,
				EnergyCounterMj: 7_000_000 + 200_000*i, Temperature: 61, ClockMhz: 2520,
			}},
			Driver: "575.57", EnergyMj: 200_000 * i, BusyMs: 500 * i,
		})))
	}
	return out
}

// exampleEvidence is the evidence of those that nothing covers yet.
func exampleEvidence(first, end uint64) *leasev1.Evidence {
	e := must(evidence.Summarize(first, exampleSamples(first, end)))
	e.TaskId, e.ImageDigest = "t1", exampleTerms().ImageDigest
	return e
}

func (s *sides) event(from lease.Role, m *marketv1.Signed) lease.Event {
	key := ed25519.PublicKey(publicOf(workerKey))
	if from == lease.Requester {
		key = publicOf(requesterKey)
	}
	evidence := exampleEvidence(s.lease[lease.Worker].SamplesFrom(nil), uint64(max(0, s.at.UnixMilli()-beginMs-1_000))/1000)
	switch t := statement.Type(m.Type); {
	case t == statement.TypeChallenge:
		return lease.Challenged{Challenge: must(statement.Open[*leasev1.Challenge](m, t, key)), Evidence: evidence}
	case t == statement.TypeBeat:
		return lease.BeatReceived{
			Beat:     must(statement.Open[*leasev1.Beat](m, t, key)),
			Observed: &leasev1.Observation{StdoutBytes: 12, Running: true},
		}
	case t == statement.TypeAck:
		return lease.Acked{Ack: must(statement.Open[*leasev1.Ack](m, t, key))}
	case from == lease.Worker:
		return lease.CloseReceived{Close: must(statement.Open[*leasev1.Close](m, t, key))}
	default:
		return lease.CloseSigned{Close: must(statement.Open[*leasev1.Close](m, t, key))}
	}
}

// tick makes the requester's next challenge, due now.
func (s *sides) tick(nonce byte) {
	var random [lease.RandomSize]byte
	copy(random[:], bytes.Repeat([]byte{nonce}, 32))
	binary.BigEndian.PutUint64(random[32:], 3_000) // the next one comes three seconds into its interval
	s.step(lease.Requester, lease.Tick{Random: random})
}

func (s *sides) after(d time.Duration) { s.at = s.at.Add(d) }

func (s *sides) exit() {
	s.step(lease.Worker, lease.TaskExited{
		Exit:          &leasev1.Exit{StartedMs: beginMs + 1_000, EndedMs: s.at.UnixMilli()},
		OutputsDigest: bytes.Repeat([]byte{6}, 32),
		Evidence:      exampleEvidence(s.lease[lease.Worker].SamplesFrom(nil), uint64(s.at.UnixMilli()-beginMs-1_000)/1000),
	})
}

// twoBeats is the whole lease: a beat at 0 s, the task from 1 s to 15.25 s, a
// beat at 13 s, and the close at 15.25 s.
func twoBeats(t testing.TB) *sides {
	s := begin(t, exampleTerms())
	s.tick(0xa0)
	s.after(time.Second)
	s.step(lease.Worker, lease.TaskRunning{})
	s.after(12 * time.Second)
	s.tick(0xa1)
	s.after(2250 * time.Millisecond)
	return s
}

// threeBeats is the worked example of SPEC.md: the same with another beat, at 23 s,
// and the close at 25.25 s.
func threeBeats(t testing.TB) *sides {
	s := twoBeats(t)
	s.after(7750 * time.Millisecond)
	s.tick(0xa2)
	s.after(2250 * time.Millisecond)
	return s
}

func closed(t testing.TB) *leasev1.Receipt {
	s := twoBeats(t)
	s.exit()
	return s.lease[lease.Worker].Receipt()
}
