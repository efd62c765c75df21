package statement

import (
	"crypto/sha256"
)

// domain begins everything that rigmesh hashes, so that no hash or signature
// of ours means anything in another protocol, nor the other way round.
const domain = "rigmesh/1/"

// Hash is a SHA-256 value.
type Hash = [sha256.Size]byte

// H is SHA-256 over "rigmesh/1/", the tag, a zero byte and the inputs, one
// after the other. For one tag the inputs must always have the same lengths:
// there is nothing between them. Hash what varies in length first.
func H(tag string, fixed ...[]byte) Hash {
	h := sha256.New()
	h.Write([]byte(domain + tag + "\x00"))
	for _, b := range fixed {
		h.Write(b)
	}
	return Hash(h.Sum(nil))
}

// HashPayload is H(tag, SHA-256(payload)), for a payload of any length.
func HashPayload(tag string, payload []byte) Hash {
	sum := sha256.Sum256(payload)
	return H(tag, sum[:])
}

// GPUTag names a device to the market without its UUID. Tags of one device
// differ from network to network.
func GPUTag(network, uuid string) Hash {
	n, u := sha256.Sum256([]byte(network)), sha256.Sum256([]byte(uuid))
	return H("gpu", n[:], u[:])
}

// LeaseID names the lease under these terms.
func LeaseID(terms []byte) Hash { return HashPayload(TypeTerms.tag(), terms) }
