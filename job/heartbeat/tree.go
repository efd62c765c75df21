package heartbeat

import (
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
