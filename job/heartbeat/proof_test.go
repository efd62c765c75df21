package heartbeat_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

func headsOf(n int) (heartbeat.Heads, heartbeat.Tree) {
	var heads heartbeat.Heads
	var tree heartbeat.Tree
	for i := range n {
		h := statement.H("test", []byte{byte(i >> 8), byte(i)})
		heads, tree = append(heads, h), tree.Append(h)
	}
	return heads, tree
}

func TestRootOfLeavesIsThatOfRFC6962(t *testing.T) {
	var leaves [][]byte
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range at {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for n := range 70 {
		leaf := fmt.Appendf(nil, "leaf of some length %d", 1<<n)
		more, err := tlog.StoredHashes(int64(n), leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		leaves, hashes = append(leaves, leaf), append(hashes, more...)
		want, err := tlog.TreeHash(int64(n+1), read)
		if err != nil || !bytes.Equal(heartbeat.RootOf(leaves), want[:]) {
			t.Fatalf("%d leaves: %x, not %x (%v)", n+1, heartbeat.RootOf(leaves), want, err)
		}
	}
}

func TestEveryHeadHasAPathAndNoOtherHasIt(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 8, 9, 40} {
		heads, tree := headsOf(size)
		root := tree.Root()
		for n := range heads {
			paths, err := heads.Paths([]uint64{uint64(n)})
			if err != nil || len(paths) != 1 {
				t.Fatal(len(paths), err)
			}
			path := paths[0]
			check := func(path [][]byte, size, n int, head statement.Hash) error {
				return heartbeat.CheckPath(path, uint64(size), root[:], uint64(n), head[:])
			}
			if err := check(path, size, n, heads[n]); err != nil {
				t.Fatalf("head %d of %d: %v", n, size, err)
			}
			other := statement.H("other")
			for name, err := range map[string]error{
				"another head": check(path, size, n, other), "another place": check(path, size, n+1, heads[n]),
				"a longer path": check(append(path, other[:]), size, n, heads[n]), "a broken hash": check(append(path, other[1:]), size, n, heads[n]),
			} {
				if err == nil {
					t.Errorf("head %d of %d: %s is accepted", n, size, name)
				}
			}
		}
	}
}

func TestATreeGoesOnFromItsSubtreesAndProvesWhatItWas(t *testing.T) {
	all, whole := headsOf(40)
	root := whole.Root()
	for old := 1; old <= 40; old++ {
		_, tree := headsOf(old)
		again, err := heartbeat.TreeFrom(uint64(old), tree.Complete())
		if err != nil {
			t.Fatal(err)
		}
		was := again.Root()
		for _, h := range all[old:] {
			again = again.Append(h)
		}
		if again.Root() != root {
			t.Fatalf("from %d heads on the tree is another", old)
		}
		proof, err := all.Consistency(uint64(old))
		if err != nil {
			t.Fatal(err)
		}
		if err := heartbeat.CheckConsistency(proof, 40, root[:], uint64(old), was[:]); err != nil {
			t.Errorf("from %d: %v", old, err)
		}
		other := statement.H("other")
		if err := heartbeat.CheckConsistency(proof, 40, root[:], uint64(old), other[:]); !errors.Is(err, heartbeat.ErrProof) {
			t.Errorf("from another root of %d: %v", old, err)
		}
		if _, err := heartbeat.TreeFrom(uint64(old)+1, tree.Complete()[:0]); err == nil {
			t.Error("a tree without subtrees")
		}
	}
}
