package heartbeat

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rigmesh/rigmesh/job/statement"
)

// ErrProof: a path or a proof does not lead where it is said to.
var ErrProof = errors.New("proof does not hold")

// RootOf is the RFC 6962 root over leaves of any length, and nil without any.
func RootOf(leaves [][]byte) []byte {
	if len(leaves) == 0 {
		return nil
	}
	root := rootOf(leaves)
	return root[:]
}

// rootOf splits as RFC 6962 does: the left part is the largest power of two that
// is smaller than the whole.
func rootOf(leaves [][]byte) tlog.Hash {
	if len(leaves) == 1 {
		return tlog.RecordHash(leaves[0])
	}
	left := 1
	for 2*left < len(leaves) {
		left *= 2
	}
	return tlog.NodeHash(rootOf(leaves[:left]), rootOf(leaves[left:]))
}

// NonceLeaf is the leaf of a witness's nonce in the tree whose root is a beat's
// witness_root. Witness is its place in the terms.
func NonceLeaf(lease statement.Hash, witness uint32, nonce []byte) statement.Hash {
	return statement.H("nonce", lease[:], binary.BigEndian.AppendUint32(nil, witness), nonce)
}

// Heads are all heads of a lease, head 0 first: what proofs are made from.
type Heads []statement.Hash

// stored is the heads' tree as tlog reads it.
func (h Heads) stored() (tlog.HashReaderFunc, error) {
	var hashes []tlog.Hash
	read := func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			out[i] = hashes[n]
		}
		return out, nil
	}
	for i, head := range h {
		more, err := tlog.StoredHashes(int64(i), head[:], tlog.HashReaderFunc(read))
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, more...)
	}
	return read, nil
}

// Consistency proves that the tree over the first old heads is the beginning of
// the tree over all of them.
func (h Heads) Consistency(old uint64) ([][]byte, error) {
	read, err := h.stored()
	if err != nil || old == 0 {
		return nil, err
	}
	p, err := tlog.ProveTree(int64(len(h)), int64(old), read)
	return bytesOf(p), err
}

// CheckConsistency checks such a proof against the two roots.
func CheckConsistency(proof [][]byte, size uint64, root []byte, old uint64, oldRoot []byte) error {
	p, err := hashesOf(append([][]byte{root, oldRoot}, proof...))
	if err != nil {
		return err
	}
	if size > maxHeads || tlog.CheckTree(tlog.TreeProof(p[2:]), int64(size), p[0], int64(old), p[1]) != nil {
		return fmt.Errorf("the tree over %d heads does not begin with that over %d: %w", size, old, ErrProof)
	}
	return nil
}

// Paths proves, of each of some heads by its number, that it is in the tree over all
// of them.
func (h Heads) Paths(numbers []uint64) ([][][]byte, error) {
	read, err := h.stored()
	if err != nil {
		return nil, err
	}
	var paths [][][]byte
	for _, n := range numbers {
		p, err := tlog.ProveRecord(int64(len(h)), int64(n), read)
		if err != nil {
			return nil, err
		}
		paths = append(paths, bytesOf(p))
	}
	return paths, nil
}

// CheckPath checks such a path against the root over size heads.
func CheckPath(path [][]byte, size uint64, root []byte, n uint64, head []byte) error {
	p, err := hashesOf(append([][]byte{root, head}, path...))
	if err != nil {
		return err
	}
	if size > maxHeads || n >= size || tlog.CheckRecord(tlog.RecordProof(p[2:]), int64(size), p[0], int64(n), tlog.RecordHash(head)) != nil {
		return fmt.Errorf("head %d is not in the tree over %d: %w", n, size, ErrProof)
	}
	return nil
}

// maxHeads is far above what the longest lease has.
const maxHeads = 1 << 40

func bytesOf(hashes []tlog.Hash) [][]byte {
	var out [][]byte
	for _, h := range hashes {
		out = append(out, h[:])
	}
	return out
}

func hashesOf(list [][]byte) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, b := range list {
		if err := hash("hash of a proof", b); err != nil {
			return nil, err
		}
		out = append(out, tlog.Hash(b))
	}
	return out, nil
}
