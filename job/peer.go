package job

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrPeerKey: a peer id does not carry an Ed25519 public key.
var ErrPeerKey = errors.New("peer id carries no Ed25519 key")

// PeerID is the libp2p identity of a public key. The two map one to one, so a
// statement's signer and the peer at the other end of a stream can be compared.
func PeerID(key ed25519.PublicKey) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return "", fmt.Errorf("peer id of a %d-byte key: %w", len(key), err)
	}
	return peer.IDFromPublicKey(pub)
}

// PublicKey is the Ed25519 key that a peer id carries. ErrPeerKey when it carries another kind, or only a hash.
func PublicKey(id peer.ID) (ed25519.PublicKey, error) {
	pub, err := id.ExtractPublicKey()
	if err != nil || pub.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("public key of peer %s: %w", id, ErrPeerKey)
	}
	raw, err := pub.Raw()
	if err != nil {
		return nil, fmt.Errorf("public key of peer %s: %w", id, err)
	}
	return raw, nil
}
