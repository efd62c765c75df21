package swarm

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Image reads the layers of one image from peers. It is for one reader at a time, which
// reads one layer after the other; asking for one again from its beginning says that what
// was given was wrong, and asking for the next that it was right.
type Image struct {
	swarm  *Swarm
	ctx    context.Context // of the search and of the ways to peers
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	members []*member
	looking int           // searches that go on
	changed chan struct{} // closed when members or looking change

	sought map[string]bool     // layers that were looked for by their digest
	gave   map[string]*history // by digest
	last   string              // the digest that was asked for last
}

// member is one peer that may have blobs of the image.
type member struct {
	id   peer.ID
	peer Peer
	of   map[string]bool // the layers that it may have; nil: any blob
}

// may says whether a member may have a blob.
func (m *member) may(digest string) bool { return m.of == nil || m.of[digest] }

// history is what was given of one blob.
type history struct {
	digest string
	trail  trail            // of what is being given, or was given last
	size   int64            // of the blob
	wrong  []trail          // of what turned out to be wrong
	tried  map[peer.ID]bool // asked for all of it, after something was wrong
	gone   map[peer.ID]bool // of no use for it
}

// whole says whether the blob was given to its end.
func (h *history) whole() bool { return len(h.trail) > 0 && h.trail.end() == h.size }

// look finds members for a digest: for one layer, or for any blob.
func (i *Image) look(find func(context.Context, string, int) iter.Seq[peer.ID], digest, layer string) {
	i.mu.Lock()
	i.looking++
	i.mu.Unlock()
	i.wg.Go(func() {
		ctx, cancel := context.WithTimeout(i.ctx, search)
		defer cancel()
		for id := range find(ctx, digest, maxMembers) {
			i.join(id, layer)
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.looking--
		i.tell()
	})
}

// join takes note of a peer that may have one layer or, with none, any blob.
func (i *Image) join(id peer.ID, layer string) {
	if !i.swarm.trusts(id) {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var known *member
	others := 0
	for _, m := range i.members {
		if m.id == id {
			known = m
		} else if m.may(layer) {
			others++
		}
	}
	switch {
	case others >= maxMembers || known != nil && known.may(layer):
		return
	case known == nil:
		known = &member{id: id, peer: i.swarm.cfg.Open(id), of: make(map[string]bool)}
		i.members = append(i.members, known)
	}
	if known.of[layer] = true; layer == "" {
		known.of = nil
	}
	i.tell()
}

// leave takes note of a member that is of no use for a blob.
func (i *Image) leave(h *history, id peer.ID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	h.gone[id] = true
}

// tell wakes whoever watches. The caller holds mu.
func (i *Image) tell() {
	close(i.changed)
	i.changed = make(chan struct{})
}

// useful are the members that may be asked for a blob, whether more may come, and what
// closes when that changes.
func (i *Image) useful(h *history) (all []*member, more bool, changed <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.members {
		if m.may(h.digest) && !h.gone[m.id] && i.swarm.trusts(m.id) {
			all = append(all, m)
		}
	}
	return all, i.looking > 0, i.changed
}

// Layer reads a layer of that size from an offset on. ErrNobody, also from a reader that
// began, means that another source has to go on. Close the reader before the next call.
func (i *Image) Layer(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	h := i.ask(digest, size, offset)
	if find := i.swarm.cfg.FindLayer; find != nil && size >= WorthFinding && !i.sought[digest] {
		i.sought[digest] = true
		i.look(find, digest, digest)
	}
	if !i.await(ctx, h) {
		return nil, fmt.Errorf("blob %s: %w", digest, ErrNobody)
	}
	may := func(peer.ID) bool { return true }
	if len(h.wrong) > 0 && offset == 0 {
		one, ok := i.next(h)
		if !ok {
			return nil, fmt.Errorf("blob %s: %w that was not asked", digest, ErrNobody)
		}
		may = func(id peer.ID) bool { return id == one }
	}
	return newDownload(ctx, i, h, digest, offset, may), nil
}

// next is the one peer to ask for all of a blob that was wrong. Should it leave half-way,
// the others go on.
func (i *Image) next(h *history) (peer.ID, bool) {
	all, _, _ := i.useful(h)
	for _, m := range all {
		if !h.tried[m.id] {
			h.tried[m.id] = true
			return m.id, true
		}
	}
	return "", false
}

// ask notes that a blob is wanted, and gives what was given of it.
func (i *Image) ask(digest string, size, offset int64) *history {
	if i.last != digest {
		i.accept(i.last)
	}
	i.last = digest
	h := i.gave[digest]
	if h == nil {
		h = &history{digest: digest, size: size, tried: make(map[peer.ID]bool), gone: make(map[peer.ID]bool)}
		i.gave[digest] = h
	}
	if offset == 0 && h.whole() {
		if id, ok := h.trail.alone(); ok {
			h.tried[id] = true
		}
		h.wrong = append(h.wrong, h.trail)
	}
	if offset == 0 || h.trail.end() != offset {
		h.trail = nil
	}
	return h
}

// accept takes what was given last of a blob for right, and finds who gave something else.
func (i *Image) accept(digest string) {
	h := i.gave[digest]
	if h == nil || !h.whole() {
		return
	}
	for _, wrong := range h.wrong {
		for _, id := range wrong.liars(h.trail) {
			i.swarm.lied(id, digest)
		}
	}
	delete(i.gave, digest)
}

// await waits for the first peer.
func (i *Image) await(ctx context.Context, h *history) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		all, more, changed := i.useful(h)
		if len(all) > 0 || !more {
			return len(all) > 0
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// Elsewhere watches what another source gives of a layer, which may tell who was wrong.
func (i *Image) Elsewhere(digest string, size, offset int64, body io.ReadCloser) io.ReadCloser {
	h := i.ask(digest, size, offset)
	m := &marked{ReadCloser: body, off: offset, size: size, note: func(m mark) { h.trail = append(h.trail, m) }}
	m.hash.SetSeed(seed)
	return m
}

// Good says that all that was given is what it should be.
func (i *Image) Good() { i.accept(i.last) }

// Close ends the search and the ways to peers.
func (i *Image) Close() error {
	i.cancel()
	i.wg.Wait()
	for _, m := range i.members {
		_ = m.peer.Close()
	}
	return nil
}

func sumOf(b []byte) uint64 { return maphash.Bytes(seed, b) }
