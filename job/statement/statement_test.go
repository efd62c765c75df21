package statement_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func ack() *leasev1.Ack {
	return &leasev1.Ack{
		Version: 1, LeaseId: bytes.Repeat([]byte{2}, 32), Seq: 3, Interval: 4, BeatHash: bytes.Repeat([]byte{5}, 32),
		Verdict: leasev1.Verdict_VERDICT_GOOD, CreditMs: 6, Amount: 7, RequesterMs: 8,
	}
}

func sign(t testing.TB, typ statement.Type, m proto.Message) *marketv1.Signed {
	t.Helper()
	s, err := statement.Sign(key, typ, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openAck(s *marketv1.Signed) (statement.Verified[*leasev1.Ack], error) {
	return statement.Open[*leasev1.Ack](s, statement.TypeAck, public(key))
}

func TestWhatWasSignedOpens(t *testing.T) {
	s := sign(t, statement.TypeAck, ack())
	v, err := openAck(s)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(v.Message(), ack()) || !bytes.Equal(v.Signer(), public(key)) || !proto.Equal(v.Signed(), s) {
		t.Errorf("opened %v", v.Message())
	}
	if v.Hash() != statement.HashPayload("ack", s.Payload) {
		t.Error("hash is not that of the payload under its type")
	}
}

func TestWhatComesBesideAStatementIsLeftOut(t *testing.T) {
	terms := sign(t, statement.TypeTerms, &leasev1.Terms{Version: 1, Worker: public(key)})
	for _, s := range []*marketv1.Signed{sign(t, statement.TypeAck, ack()), terms} {
		came := unknownIn(s)
		a, err := openAck(came)
		opened := a.Signed()
		if s == terms {
			v, e := statement.OpenWorkerTerms(came)
			opened, err = v.Signed(), e
		}
		if err != nil || !proto.Equal(opened, s) {
			t.Errorf("%s: %v, %v", s.Type, opened, err)
		}
	}
}

func TestHashOfTermsIsTheLeaseID(t *testing.T) {
	s := sign(t, statement.TypeTerms, &leasev1.Terms{Version: 1, Worker: public(key)})
	v, err := statement.OpenWorkerTerms(s)
	if err != nil || v.Hash() != statement.LeaseID(s.Payload) || v.Hash() != statement.HashPayload("lease", s.Payload) {
		t.Errorf("hash %x, %v", v.Hash(), err)
	}
}

func TestEachRefusalHasItsError(t *testing.T) {
	payload := sign(t, statement.TypeAck, ack()).Payload
	nested := sign(t, statement.TypeChallenge, &leasev1.Challenge{Version: 1, LastAck: &marketv1.Signed{Type: "ack"}}).Payload
	inner := protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), []byte{0xc0, 0x3e, 0x01})
	for name, c := range map[string]struct {
		signed *marketv1.Signed
		want   error
	}{
		"nothing":          {nil, statement.ErrType},
		"another type":     {&marketv1.Signed{Type: "beat", Payload: payload, Signature: make([]byte, 64)}, statement.ErrType},
		"no payload":       {&marketv1.Signed{Type: "ack", Signature: make([]byte, 64)}, statement.ErrSize},
		"a long payload":   {statement.SignPayload(key, "ack", bytes.Repeat(payload, 9)), statement.ErrSize},
		"cut off":          {statement.SignPayload(key, "ack", payload[:len(payload)-1]), statement.ErrMalformed},
		"an unknown field": {statement.SignPayload(key, "ack", append(bytes.Clone(payload), 0xc0, 0x3e, 0x01)), job.ErrUnknownField},
		"an unknown enum":  {statement.SignPayload(key, "ack", append(bytes.Clone(payload), 0x30, 0x63)), job.ErrUnknownField},
		"version 2":        {statement.SignPayload(key, "ack", append([]byte{8, 2}, payload[2:]...)), statement.ErrVersion},
		"no version":       {statement.SignPayload(key, "ack", payload[2:]), statement.ErrVersion},
		"signed as a beat": {&marketv1.Signed{Type: "ack", Payload: payload, Signature: statement.SignPayload(key, "beat", payload).Signature}, statement.ErrSignature},
		"short signature":  {&marketv1.Signed{Type: "ack", Payload: payload, Signature: make([]byte, 63)}, statement.ErrSignature},
	} {
		if _, err := openAck(c.signed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
	deep := statement.SignPayload(key, statement.TypeChallenge, append(bytes.Clone(nested), inner...))
	if _, err := statement.Open[*leasev1.Challenge](deep, statement.TypeChallenge, public(key)); !errors.Is(err, job.ErrUnknownField) {
		t.Errorf("an unknown field inside the last ack: %v", err)
	}
	if _, err := statement.Open[*leasev1.Beat](sign(t, statement.TypeAck, ack()), statement.TypeAck, public(key)); !errors.Is(err, statement.ErrType) {
		t.Errorf("an ack opened as a beat: %v", err)
	}
}

// A later version may say more in the market: this one reads what it knows of it.
func TestTheMarketMaySayMore(t *testing.T) {
	more := []byte{0xc0, 0x3e, 0x01} // field 1000
	gpu := protowire.AppendBytes(protowire.AppendTag(nil, 8, protowire.BytesType), more)
	sent := &marketv1.Announcement{Version: 1, Requester: public(key), Network: "main"}
	payload := sign(t, statement.TypeAnnouncement, sent).Payload
	for name, extra := range map[string][]byte{"at the top": more, "inside": gpu} {
		s := statement.SignPayload(key, statement.TypeAnnouncement, append(bytes.Clone(payload), extra...))
		v, err := statement.OpenAnnouncement(s)
		if err != nil || v.Message().Network != "main" {
			t.Errorf("a field more %s: %v", name, err)
		}
		if !bytes.Equal(v.Payload(), s.Payload) {
			t.Errorf("a field more %s: it is passed on as %x, not as it came", name, v.Payload())
		}
	}
	second := statement.SignPayload(key, statement.TypeAnnouncement, append(bytes.Clone(payload), 8, 2))
	if _, err := statement.OpenAnnouncement(second); !errors.Is(err, statement.ErrVersion) {
		t.Errorf("version 2: %v", err)
	}
	if _, err := statement.Sign(key, statement.TypeAnnouncement, unknownIn(sent)); !errors.Is(err, job.ErrUnknownField) {
		t.Errorf("signed without being understood: %v", err)
	}
}

// unknownIn is a message with a field more.
func unknownIn[M proto.Message](m M) M {
	m = proto.CloneOf(m)
	m.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01})
	return m
}

func TestKeysOfSmallOrderAreRefused(t *testing.T) {
	identity := make(ed25519.PublicKey, 32)
	identity[0] = 1
	s := &marketv1.Signed{Type: "ack", Payload: sign(t, statement.TypeAck, ack()).Payload, Signature: append(bytes.Clone(identity), make([]byte, 32)...)}
	if digest := statement.Digest(statement.TypeAck, s.Payload); !ed25519.Verify(identity, digest[:], s.Signature) {
		t.Fatal("this signature should satisfy Ed25519 itself")
	}
	if err := statement.CheckSignature(s, identity); !errors.Is(err, statement.ErrKey) {
		t.Errorf("signature of nobody: %v", err)
	}
	if err := statement.CheckSignature(s, nil); !errors.Is(err, statement.ErrKey) {
		t.Errorf("no key: %v", err)
	}
}

func TestSignRefusesWhatOpenWould(t *testing.T) {
	long := &leasev1.Ack{Version: 1, BeatHash: make([]byte, 600)}
	for name, c := range map[string]struct {
		typ  statement.Type
		m    proto.Message
		want error
	}{
		"another message": {statement.TypeBeat, ack(), statement.ErrType},
		"no type of ours": {"parcel", ack(), statement.ErrType},
		"too long":        {statement.TypeAck, long, statement.ErrSize},
		"no version":      {statement.TypeAck, &leasev1.Ack{}, statement.ErrVersion},
	} {
		if _, err := statement.Sign(key, c.typ, c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

func TestMarketStatementsNameTheirSigner(t *testing.T) {
	offer := sign(t, statement.TypeOffer, &marketv1.Offer{Version: 1, Worker: public(key)})
	if v, err := statement.OpenOffer(offer); err != nil || !bytes.Equal(v.Signer(), public(key)) {
		t.Errorf("offer: %v", err)
	}
	thief := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	if _, err := statement.OpenOffer(statement.SignPayload(thief, statement.TypeOffer, offer.Payload)); !errors.Is(err, statement.ErrSignature) {
		t.Errorf("offer signed by another: %v", err)
	}
	if _, err := statement.OpenBid(sign(t, statement.TypeBid, &marketv1.Bid{Version: 1})); !errors.Is(err, statement.ErrKey) {
		t.Errorf("bid of nobody: %v", err)
	}
	if _, err := statement.OpenAnnouncement(sign(t, statement.TypeAnnouncement, &marketv1.Announcement{Version: 1, Requester: public(key)})); err != nil {
		t.Errorf("announcement: %v", err)
	}
}

func TestGPUTagsDifferByNetworkAndDevice(t *testing.T) {
	a := statement.GPUTag("main", "GPU-1")
	if a == statement.GPUTag("main", "GPU-2") || a == statement.GPUTag("test", "GPU-1") || a == statement.GPUTag("mainG", "PU-1") {
		t.Error("two devices share a tag")
	}
}

// Any bit of any part of any statement, flipped, is refused.
func TestAnyFlippedBitIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := ack()
		m.Seq = rapid.Uint64().Draw(t, "seq")
		m.LeaseId = rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "lease")
		m.CreditMs = rapid.Uint64().Draw(t, "credit")
		s, err := statement.Sign(key, statement.TypeAck, m)
		if err != nil {
			t.Fatal(err)
		}
		part := rapid.SampledFrom([]string{"payload", "signature", "type"}).Draw(t, "part")
		typ := []byte(s.Type)
		b := map[string][]byte{"payload": s.Payload, "signature": s.Signature, "type": typ}[part]
		bit := rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		s.Type = string(typ)
		if _, err := openAck(s); err == nil {
			t.Fatal("still opens")
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add("ack", []byte{8, 1}, make([]byte, 64))
	f.Add("challenge", []byte{8, 1, 0x3a, 2, 0x0a, 0}, make([]byte, 64))
	f.Add("beat", []byte{8, 1, 0x52, 0}, make([]byte, 64))
	f.Add("offer", []byte{8, 1, 0x3a, 0}, make([]byte, 64))
	f.Add(strings.Repeat("x", 300), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, typ string, payload, signature []byte) {
		s := &marketv1.Signed{Type: typ, Payload: payload, Signature: signature}
		if _, err := statement.OpenOffer(s); err == nil {
			t.Error("a forged offer opens")
		}
		if _, err := statement.Open[*leasev1.Challenge](s, statement.TypeChallenge, public(key)); err == nil {
			t.Error("a forged challenge opens")
		}
		// The same payload, honestly signed, opens or is refused, and never panics.
		honest := statement.SignPayload(key, statement.TypeBeat, payload)
		v, err := statement.Open[*leasev1.Beat](honest, statement.TypeBeat, public(key))
		if err == nil && v.Message().GetVersion() != statement.Version {
			t.Error("another version opens")
		}
	})
}
