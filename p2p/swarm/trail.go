package swarm

import (
	"hash/maphash"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
)

// seed makes sums that nobody else can aim at: two parts of one sum are the same part.
var seed = maphash.MakeSeed()

// mark is where one part of a blob came from.
type mark struct {
	off, n int64
	sum    uint64
	from   peer.ID // empty: not a peer
}

// trail is where a blob came from, part by part, in order.
type trail []mark

func (t trail) end() int64 {
	if len(t) == 0 {
		return 0
	}
	return t[len(t)-1].off + t[len(t)-1].n
}

// alone is the one peer that all of a trail came from.
func (t trail) alone() (peer.ID, bool) {
	for _, m := range t {
		if m.from == "" || m.from != t[0].from {
			return "", false
		}
	}
	if len(t) == 0 {
		return "", false
	}
	return t[0].from, true
}

// liars are whoever gave parts of t that are others in truth. Parts that truth is cut up
// differently for tell nothing.
func (t trail) liars(truth trail) []peer.ID {
	right := make(map[int64]mark, len(truth))
	for _, m := range truth {
		right[m.off] = m
	}
	var out []peer.ID
	for _, m := range t {
		if r, ok := right[m.off]; ok && r.n == m.n && r.sum != m.sum && m.from != "" {
			out = append(out, m.from)
		}
	}
	return out
}

// marked notes the trail of what is read from a source that is no peer.
type marked struct {
	io.ReadCloser
	off  int64 // in the blob
	size int64
	hash maphash.Hash
	n    int64 // in the hash
	note func(mark)
}

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	for b := p[:n]; len(b) > 0; {
		_, end := bounds(pieceOf(m.off), 0, m.size)
		take := min(int64(len(b)), end-m.off)
		m.hash.Write(b[:take])
		m.off, m.n, b = m.off+take, m.n+take, b[take:]
		if m.off == end {
			m.note(mark{off: end - m.n, n: m.n, sum: m.hash.Sum64()})
			m.hash.Reset()
			m.n = 0
		}
		if take == 0 {
			break // more than the blob has: whoever checks it says so
		}
	}
	return n, err
}
