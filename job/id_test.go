package job

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestIDsSurviveWritingAndReading(t *testing.T) {
	id, err := NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("got %s, %v: want %s", got, err, id)
	}
	if got, err := IDFromBytes(id[:]); err != nil || got != id {
		t.Errorf("got %s, %v: want %s", got, err, id)
	}
	lease := LeaseID(bytes.Repeat([]byte{0xab}, 32))
	if got, err := ParseLeaseID(lease.String()); err != nil || got != lease {
		t.Errorf("got %s, %v: want %s", got, err, lease)
	}
	if got, err := LeaseIDFromBytes(lease[:]); err != nil || got != lease {
		t.Errorf("got %s, %v: want %s", got, err, lease)
	}
	if id.Short() != id.String()[:8] || lease.Short() != "abababab" {
		t.Errorf("short forms %s and %s", id.Short(), lease.Short())
	}
}

func TestIDsOfOtherLengthsAreRefused(t *testing.T) {
	for _, s := range []string{"", "ab", strings.Repeat("ab", 15), strings.Repeat("ab", 33), strings.Repeat("zz", 16)} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("ParseID took %q", s)
		}
		if _, err := ParseLeaseID(s); err == nil {
			t.Errorf("ParseLeaseID took %q", s)
		}
	}
	if _, err := IDFromBytes(make([]byte, 32)); err == nil {
		t.Error("IDFromBytes took 32 bytes")
	}
	if _, err := LeaseIDFromBytes(make([]byte, 16)); err == nil {
		t.Error("LeaseIDFromBytes took 16 bytes")
	}
	if _, err := NewID(strings.NewReader("short")); err == nil {
		t.Error("NewID took 5 bytes of randomness")
	}
}

func TestPeerIDAndPublicKeyAreInverses(t *testing.T) {
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := PeerID(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := PublicKey(id); err != nil || !got.Equal(key) {
		t.Errorf("got %x, %v: want %x", got, err, key)
	}
}

func TestPeersWithoutAnEd25519KeyAreRefused(t *testing.T) {
	_, pub, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := peer.IDFromPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []peer.ID{other, "", "nonsense"} {
		if _, err := PublicKey(id); !errors.Is(err, ErrPeerKey) {
			t.Errorf("peer %q: %v", string(id), err)
		}
	}
	if _, err := PeerID(make([]byte, 31)); err == nil {
		t.Error("PeerID took 31 bytes")
	}
}

// FuzzIDs: an id has one text, whose letters are small.
func FuzzIDs(f *testing.F) {
	f.Add("3f2a")
	f.Add(strings.Repeat("0a", 16))
	f.Add(strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil && id.String() != strings.ToLower(text) {
			t.Errorf("%q is job %s", text, id)
		}
		if id, err := ParseLeaseID(text); err == nil && id.String() != strings.ToLower(text) {
			t.Errorf("%q is lease %s", text, id)
		}
	})
}
