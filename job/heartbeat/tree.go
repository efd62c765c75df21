package heartbeat

import (
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Tree is a growing RFC 6962 tree over the heads of a lease, head 0 first. It
// holds only the roots of its complete subtrees, so it stays at most 64 hashes
// large. It is a value: Append leaves the receiver as it was.
type Tree struct {
	size     uint64
	complete []tlog.Hash // roots of complete subtrees, the largest first
}

// Size is the number of heads in the tree.
func (t Tree) Size() uint64 { return t.size }

// Append gives the tree with one more head.
func (t Tree) Append(head statement.Hash) Tree {
	node := tlog.RecordHash(head[:])
	complete := slices.Clone(t.complete)
	// Each trailing one bit of the size is a complete subtree as large as the
	// one that has just become complete: the two make the next larger one.
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(complete) - 1
		node = tlog.NodeHash(complete[last], node)
		complete = complete[:last]
	}
	return Tree{size: t.size + 1, complete: append(complete, node)}
}

// Complete is what a tree consists of: the roots of its complete subtrees, the
// largest first. With its size it is enough to go on from.
func (t Tree) Complete() [][]byte {
	var out [][]byte
	for _, h := range t.complete {
		out = append(out, h[:])
	}
	return out
}

// TreeFrom is the tree that consists of these subtrees. Whether it is the tree
// that somebody means its root says.
func TreeFrom(size uint64, complete [][]byte) (Tree, error) {
	if len(complete) != bits.OnesCount64(size) {
		return Tree{}, wrong(true, "not the subtrees of a tree of that size")
	}
	t := Tree{size: size}
	for _, b := range complete {
		if err := hash("subtree", b); err != nil {
			return Tree{}, err
		}
		t.complete = append(t.complete, tlog.Hash(b))
	}
	return t, nil
}

// Root is the RFC 6962 root, and the zero hash of a tree without heads.
func (t Tree) Root() statement.Hash {
	if t.size == 0 {
		return statement.Hash{}
	}
	last := len(t.complete) - 1
	root := t.complete[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(t.complete[i], root)
	}
	return statement.Hash(root)
}
