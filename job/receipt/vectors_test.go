package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

var update = flag.Bool("update", false, "rewrite the vectors and the worked example of SPEC.md")

const vectorDir = "../../proto/vectors"

// vector is one file of proto/vectors: statements that must be accepted, and some
// that must not.
type vector struct {
	Type      string          `json:"type"`
	Seed      string          `json:"seed"`       // of the signer's Ed25519 key
	PublicKey string          `json:"public_key"` //
	Fields    json.RawMessage `json:"fields"`     // protobuf JSON, field names as in the .proto
	Payload   string          `json:"payload"`
	Hash      string          `json:"hash"`   // H(type, payload); of terms: the lease id
	Digest    string          `json:"digest"` // what the signature is over
	Signature string          `json:"signature"`
	Same      []sameVector    `json:"same,omitempty"` // must be accepted, and say the same
	Bad       []badVector     `json:"bad"`
}

// sameVector is the good one in other bytes.
type sameVector struct {
	Why       string `json:"why"`
	Payload   string `json:"payload"`
	Signature string `json:"signature"`
}

// badVector differs from the good one in what it names.
type badVector struct {
	Why       string `json:"why"`
	Refusal   string `json:"refusal"` // type, size, malformed, unknown-field, version or signature
	Payload   string `json:"payload,omitempty"`
	Signature string `json:"signature,omitempty"`
	PublicKey string `json:"public_key,omitempty"`
}

var refusals = map[string]error{
	"type": statement.ErrType, "size": statement.ErrSize, "malformed": statement.ErrMalformed,
	"unknown-field": job.ErrUnknownField, "version": statement.ErrVersion, "signature": statement.ErrSignature,
	"key": statement.ErrKey,
}

func TestVectorsHold(t *testing.T) {
	for _, typ := range statement.Types() {
		t.Run(string(typ), func(t *testing.T) {
			path := filepath.Join(vectorDir, string(typ)+".json")
			if *update {
				if err := os.WriteFile(path, encode(t, makeVector(t, typ)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var v vector
			b, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(b, &v)
			}
			if err != nil {
				t.Fatal(err)
			}
			v.check(t, typ)
		})
	}
}

// check reads a vector the way another implementation would.
func (v vector) check(t *testing.T, typ statement.Type) {
	payload, signature, key := unhex(v.Payload), unhex(v.Signature), unhex(v.PublicKey)
	if !bytes.Equal(publicOf(ed25519.NewKeyFromSeed(unhex(v.Seed))), key) {
		t.Error("public key is not the seed's")
	}
	m, hash, err := open(typ, payload, signature, key)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(hash[:]) != v.Hash {
		t.Errorf("hash %x, not %s", hash, v.Hash)
	}
	want := typ.New()
	if err := protojson.Unmarshal(v.Fields, want); err != nil || !proto.Equal(m, want) {
		t.Errorf("payload says %v, fields say %v (%v)", m, want, err)
	}
	for _, s := range v.Same {
		got, _, err := open(typ, unhex(s.Payload), unhex(s.Signature), key)
		if err != nil {
			t.Errorf("%s: %v", s.Why, err)
			continue
		}
		got.ProtoReflect().SetUnknown(nil)
		if !proto.Equal(got, want) {
			t.Errorf("%s: it says %v", s.Why, got)
		}
	}
	for _, b := range v.Bad {
		p, s, k := payload, signature, key
		if b.Payload != "" {
			p = unhex(b.Payload)
		}
		if b.Signature != "" {
			s = unhex(b.Signature)
		}
		if b.PublicKey != "" {
			k = unhex(b.PublicKey)
		}
		if _, _, err := open(typ, p, s, k); !errors.Is(err, refusals[b.Refusal]) {
			t.Errorf("%s: %v; want %s", b.Why, err, b.Refusal)
		}
	}
}

// open opens a statement of whichever type.
func open(t statement.Type, payload, signature, key []byte) (proto.Message, statement.Hash, error) {
	s := &marketv1.Signed{Type: string(t), Payload: payload, Signature: signature}
	switch t {
	case statement.TypeOffer:
		return opened(statement.Open[*marketv1.Offer](s, t, key))
	case statement.TypeAnnouncement:
		return opened(statement.Open[*marketv1.Announcement](s, t, key))
	case statement.TypeWithdrawal:
		return opened(statement.Open[*marketv1.Withdrawal](s, t, key))
	case statement.TypeBid:
		return opened(statement.Open[*marketv1.Bid](s, t, key))
	case statement.TypeTerms:
		return opened(statement.Open[*leasev1.Terms](s, t, key))
	case statement.TypeChallenge:
		return opened(statement.Open[*leasev1.Challenge](s, t, key))
	case statement.TypeBeat:
		return opened(statement.Open[*leasev1.Beat](s, t, key))
	case statement.TypeAck:
		return opened(statement.Open[*leasev1.Ack](s, t, key))
	case statement.TypeAttest:
		return opened(statement.Open[*leasev1.Attest](s, t, key))
	default:
		return opened(statement.Open[*leasev1.Close](s, t, key))
	}
}

func opened[M proto.Message](v statement.Verified[M], err error) (proto.Message, statement.Hash, error) {
	if err != nil {
		return nil, statement.Hash{}, err
	}
	return v.Message(), v.Hash(), nil
}

func makeVector(t *testing.T, typ statement.Type) vector {
	s, key := sample(t, typ)
	seed, m := key.Seed(), typ.New()
	if err := proto.Unmarshal(s.Payload, m); err != nil {
		t.Fatal(err)
	}
	_, hash, err := open(typ, s.Payload, s.Signature, publicOf(key))
	if err != nil {
		t.Fatal(err)
	}
	digest := statement.Digest(typ, s.Payload)
	same, bad := makeOthers(typ, s, key)
	return vector{
		Type: string(typ), Seed: hex.EncodeToString(seed), PublicKey: hex.EncodeToString(publicOf(key)),
		Fields:  must(protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)),
		Payload: hex.EncodeToString(s.Payload), Hash: hex.EncodeToString(hash[:]),
		Digest: hex.EncodeToString(digest[:]), Signature: hex.EncodeToString(s.Signature),
		Same: same, Bad: bad,
	}
}

func makeOthers(typ statement.Type, s *marketv1.Signed, key ed25519.PrivateKey) (same []sameVector, bad []badVector) {
	resign := func(why, refusal string, payload []byte) badVector {
		signed := statement.SignPayload(key, typ, payload)
		return badVector{Why: why, Refusal: refusal, Payload: hex.EncodeToString(payload), Signature: hex.EncodeToString(signed.Signature)}
	}
	flipped := bytes.Clone(s.Signature)
	flipped[0] ^= 1
	other := statement.Types()[0]
	if other == typ {
		other = statement.TypeBid
	}
	version := bytes.Clone(s.Payload)
	version[1] = 2
	smallKey := make([]byte, ed25519.PublicKeySize)
	smallKey[0] = 1
	forAll := append(bytes.Clone(smallKey), make([]byte, 32)...)
	bad = []badVector{
		{Why: "one bit of the signature is flipped", Refusal: "signature", Signature: hex.EncodeToString(flipped)},
		{Why: "S of the signature is not below the order of the group", Refusal: "signature", Signature: hex.EncodeToString(addOrder(s.Signature))},
		{Why: "signed as a statement of type " + string(other), Refusal: "signature",
			Signature: hex.EncodeToString(statement.SignPayload(key, other, s.Payload).Signature)},
		{Why: "the key is of small order, for which this signature fits any payload", Refusal: "key",
			PublicKey: hex.EncodeToString(smallKey), Signature: hex.EncodeToString(forAll)},
		{Why: "the key is a number that is not reduced", Refusal: "key", PublicKey: "f0" + strings.Repeat("ff", 30) + "7f"},
		resign("version 2", "version", version),
	}
	unknown := resign("field 1000 is unknown", "unknown-field", append(bytes.Clone(s.Payload), 0xc0, 0x3e, 0x01))
	if typ.Extensible() {
		same = []sameVector{{unknown.Why, unknown.Payload, unknown.Signature}}
	} else {
		bad = append(bad, unknown)
	}
	return same, append(bad, resign("the last byte is cut off", "malformed", s.Payload[:len(s.Payload)-1]))
}

// addOrder makes the other S that some verifiers take for the same signature.
func addOrder(signature []byte) []byte {
	order := unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	out, carry := bytes.Clone(signature), 0
	for i, b := range order {
		sum := int(out[32+i]) + int(b) + carry
		out[32+i], carry = byte(sum), sum>>8
	}
	return out
}

// sample is one statement of a type, with the key that signed it: those of a
// lease are the last of their type in the worked example.
func sample(t testing.TB, typ statement.Type) (*marketv1.Signed, ed25519.PrivateKey) {
	tag := exampleTerms().GpuTags[0]
	device := &marketv1.Device{Tag: tag, Model: "rtx-4090", VramBytes: 24 << 30, Price: 350_000}
	machine := &marketv1.Machine{Cpus: 16, MemoryBytes: 64 << 30, DiskBytes: 500 << 30, Platform: "linux/amd64"}
	ask := &marketv1.Announcement{
		Version: 1, Network: "main", Requester: publicOf(requesterKey), JobId: bytes.Repeat([]byte{3}, 16),
		Sequence: 1, IssuedMs: beginMs - 5_000, ExpiresMs: beginMs + 25_000,
		Gpu:         &marketv1.Requirement{Count: 1, Models: []string{"rtx-4090"}, VramBytes: 20 << 30},
		Resources:   &marketv1.Resources{CpuMillis: 4_000, MemoryBytes: 8 << 30, DiskBytes: 20 << 30, Pids: 256},
		ImageDigest: exampleTerms().ImageDigest, Platform: "linux/amd64", ImageBytes: 123_456, MaxPrice: 400_000,
		MaxDurationMs: 3_600_000, PeerRecord: []byte{7},
	}
	switch typ {
	case statement.TypeOffer:
		return must(statement.Sign(workerKey, typ, &marketv1.Offer{
			Version: 1, Network: "main", Worker: publicOf(workerKey), Sequence: 9, IssuedMs: beginMs - 60_000, ExpiresMs: beginMs + 240_000,
			Devices: []*marketv1.Device{device}, Machine: machine, PeerRecord: []byte{7}, FreeDevices: 1, MaxDurationMs: 86_400_000,
		})), workerKey
	case statement.TypeAnnouncement:
		return must(statement.Sign(requesterKey, typ, ask)), requesterKey
	case statement.TypeWithdrawal:
		hash := statement.HashPayload("announcement", must(statement.Marshal(ask)))
		return must(statement.Sign(requesterKey, typ, &marketv1.Withdrawal{
			Version: 1, Network: "main", Requester: publicOf(requesterKey), AnnouncementHash: hash[:],
			Price: 350_000, IssuedMs: beginMs - 3_000,
		})), requesterKey
	case statement.TypeBid:
		hash := statement.HashPayload("announcement", must(statement.Marshal(ask)))
		return must(statement.Sign(workerKey, typ, &marketv1.Bid{
			Version: 1, Network: "main", Worker: publicOf(workerKey), AnnouncementHash: hash[:], Devices: []*marketv1.Device{device},
			Price: 350_000, Nonce: bytes.Repeat([]byte{1}, 16), IssuedMs: beginMs - 4_000, ExpiresMs: beginMs + 26_000,
			StartMs: 2_000, MaxAbsentGraceMs: 1_800_000, PeerRecord: []byte{7},
		})), workerKey
	}
	if typ == statement.TypeAttest {
		return sampleAttest(t)
	}
	key := workerKey
	if typ == statement.TypeChallenge || typ == statement.TypeAck {
		key = requesterKey
	}
	s := threeBeats(t)
	s.deaf = lease.Requester
	s.exit()
	var last *marketv1.Signed
	for _, said := range s.said {
		if said.Type == string(typ) && statement.CheckSignature(said, publicOf(key)) == nil {
			last = said
		}
	}
	return last, key
}

// sampleAttest is what the witness with seed 32 × 61 says of the last head of the
// worked example, as if the terms named it.
func sampleAttest(t testing.TB) (*marketv1.Signed, ed25519.PrivateKey) {
	key, s := keyFrom(0x61), threeBeats(t)
	id := s.lease[lease.Worker].ID()
	v := makeLeaseVector(t)
	last := len(v.Heads) - 1
	return must(statement.Sign(key, statement.TypeAttest, &leasev1.Attest{
		Version: 1, LeaseId: id[:], Period: 2, Seq: uint64(last - 1), Head: unhex(v.Heads[last]), TreeRoot: unhex(v.TreeRoots[last]),
		CreditMs: s.lease[lease.Worker].CreditMS(), FirstMs: beginMs, AskedMs: beginMs + 22_000, AttestedMs: beginMs + 23_500,
		Attested: 1, Previous: bytes.Repeat([]byte{8}, 32),
	})), key
}

func encode(t *testing.T, v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// leaseVector is proto/vectors/lease.json: the worked example of SPEC.md.
type leaseVector struct {
	WorkerSeed    string           `json:"worker_seed"`
	RequesterSeed string           `json:"requester_seed"`
	LeaseID       string           `json:"lease_id"`
	Heads         []string         `json:"heads"`      // head 0 first
	TreeRoots     []string         `json:"tree_roots"` // over heads 0 to i
	Statements    []leaseStatement `json:"statements"` // in the order they were signed
	Receipt       string           `json:"receipt"`    // the file
	Summary       receipt.Summary  `json:"summary"`
}

type leaseStatement struct {
	Type      string `json:"type"`
	Signer    string `json:"signer"`
	Payload   string `json:"payload"`
	Signature string `json:"signature"`
}

func TestWorkedLeaseHolds(t *testing.T) {
	path := filepath.Join(vectorDir, "lease.json")
	now := encode(t, makeLeaseVector(t))
	if *update {
		if err := os.WriteFile(path, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(was, now) {
		t.Fatalf("the worked lease comes out differently (%v); -update rewrites it", err)
	}
	var v leaseVector
	if err := json.Unmarshal(was, &v); err != nil {
		t.Fatal(err)
	}
	if s, err := receipt.Verify(unhex(v.Receipt)); err != nil || s.LeaseID != v.LeaseID {
		t.Errorf("receipt of the worked lease: %+v, %v", s, err)
	}
}

func makeLeaseVector(t testing.TB) leaseVector {
	s := threeBeats(t)
	s.exit()
	v := leaseVector{WorkerSeed: hex.EncodeToString(workerKey.Seed()), RequesterSeed: hex.EncodeToString(requesterKey.Seed())}
	id := s.lease[lease.Worker].ID()
	v.LeaseID = hex.EncodeToString(id[:])
	var tree heartbeat.Tree
	grow := func(head statement.Hash) {
		tree = tree.Append(head)
		root := tree.Root()
		v.Heads, v.TreeRoots = append(v.Heads, hex.EncodeToString(head[:])), append(v.TreeRoots, hex.EncodeToString(root[:]))
	}
	grow(heartbeat.Head0(s.said[0].Payload, s.said[0].Signature, s.said[1].Signature))
	var beat *marketv1.Signed
	for _, m := range s.said {
		signer := "worker"
		if statement.CheckSignature(m, publicOf(requesterKey)) == nil {
			signer = "requester"
		}
		v.Statements = append(v.Statements, leaseStatement{m.Type, signer, hex.EncodeToString(m.Payload), hex.EncodeToString(m.Signature)})
		switch statement.Type(m.Type) {
		case statement.TypeBeat:
			beat = m
		case statement.TypeAck:
			grow(heartbeat.NextHead(beat, m))
		}
	}
	file := must(receipt.Marshal(s.lease[lease.Requester].Receipt()))
	v.Receipt = hex.EncodeToString(file)
	v.Summary = must(receipt.Verify(file))
	return v
}

// TestWorkedExampleOfTheSpecHolds keeps the bytes in SPEC.md those of lease.json.
func TestWorkedExampleOfTheSpecHolds(t *testing.T) {
	const begin, end = "<!-- example: printed by job/receipt -->\n```text\n", "```\n<!-- end of example -->"
	path := "../../proto/SPEC.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	printed, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("SPEC.md has no place for the example")
	}
	now := makeLeaseVector(t).text()
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+now+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if printed != now {
		t.Error("the worked example comes out differently; -update rewrites it")
	}
}

// text is the lease as SPEC.md shows it.
func (v leaseVector) text() string {
	var b strings.Builder
	show := func(name, hex string) {
		fmt.Fprintf(&b, "%s\n", name)
		for len(hex) > 96 {
			fmt.Fprintf(&b, "  %s\n", hex[:96])
			hex = hex[96:]
		}
		fmt.Fprintf(&b, "  %s\n", hex)
	}
	heads := 0
	for i, s := range v.Statements {
		if i == 0 || s.Payload != v.Statements[i-1].Payload {
			show(s.Type, s.Payload)
		}
		show("  signature, "+s.Signer, s.Signature)
		switch {
		case i == 1:
			show("lease_id", v.LeaseID)
		case s.Type != "ack":
			continue
		}
		show(fmt.Sprintf("head %d", heads), v.Heads[heads])
		show(fmt.Sprintf("root over heads 0 to %d", heads), v.TreeRoots[heads])
		heads++
	}
	show(fmt.Sprintf("receipt, %d bytes", len(v.Receipt)/2), v.Receipt)
	return b.String()
}
