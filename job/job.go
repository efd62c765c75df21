// Package job is the vocabulary of the market: identifiers, money, tiers and
// the limits of every message that is offered, wanted, bid or agreed.
//
// The messages themselves are the generated types of proto/market/v1 and
// proto/lease/v1; the Check functions of this package say what a valid one
// looks like, and name every problem at once. Nothing here reads a clock,
// opens a file or talks to anybody, and no signature is checked here: package
// statement does that.
package job

// Version is the version of every statement this program writes, and the only one it accepts.
const Version = 1

// Sizes of the fixed-length byte fields of messages.
const (
	KeySize    = 32 // an Ed25519 public key
	HashSize   = 32 // a SHA-256 hash: lease ids, GPU tags, statement hashes
	NonceSize  = 16 // the nonces of bids and terms
	DigestSize = 71 // "sha256:" and 64 hexadecimal digits
)
