package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

const (
	// pieceSize is what is asked of a peer at a time. Pieces begin at its multiples.
	pieceSize = 1 << 20
	// window is how many pieces may be ahead of the reader: memory, 16 MiB.
	window = 16
	// lanes is how many pieces are asked of one peer at once, so that its line is never idle.
	lanes = 2
	// pieceTimeout is how long a piece may take: a peer with less than 35 kB/s is no help.
	pieceTimeout = 30 * time.Second
	// fruitless is how many attempts in a row a peer may fail.
	fruitless = 2
)

func pieceOf(offset int64) int64 { return offset / pieceSize }

// bounds are where a piece of a blob begins and ends; nothing before from is of interest.
func bounds(piece, from, size int64) (off, end int64) {
	return max(from, piece*pieceSize), min(size, (piece+1)*pieceSize)
}

// download is one layer on its way, from an offset on: pieces come from many peers in any
// order and are read in theirs.
type download struct {
	i      *Image
	h      *history
	digest string
	offset int64
	may    func(peer.ID) bool
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	wake    *sync.Cond
	at      int64              // the piece that is read next
	fresh   int64              // the first that nobody was asked for
	again   []int64            // asked for in vain
	flying  map[int64][]flight // asked for
	ready   map[int64]arrived
	lanes   int  // that may still bring something
	joining bool // more may come
	err     error

	current []byte  // what is left of the piece being read
	reading *buffer // it lies in
}

// flight is one attempt at a piece.
type flight struct {
	from   peer.ID
	cancel context.CancelFunc
}

// arrived is a piece that is here.
type arrived struct {
	buf  *buffer
	n    int64 // bytes
	from peer.ID
}

type buffer [pieceSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func newDownload(ctx context.Context, i *Image, h *history, digest string, offset int64, may func(peer.ID) bool) *download {
	ctx, cancel := context.WithCancel(ctx)
	d := &download{
		i: i, h: h, digest: digest, offset: offset, may: may, ctx: ctx, cancel: cancel,
		at: pieceOf(offset), fresh: pieceOf(offset), joining: true,
		flying: make(map[int64][]flight), ready: make(map[int64]arrived),
	}
	d.wake = sync.NewCond(&d.mu)
	context.AfterFunc(ctx, func() { d.fail(context.Cause(ctx)) })
	d.wg.Go(d.recruit)
	return d
}

// recruit sets every member to work, those too that are found later.
func (d *download) recruit() {
	known := make(map[peer.ID]bool)
	for {
		all, more, changed := d.i.useful(d.h)
		for _, m := range all {
			if known[m.id] || !d.may(m.id) {
				continue
			}
			known[m.id] = true
			d.mu.Lock()
			d.lanes += lanes
			d.mu.Unlock()
			for range lanes {
				d.wg.Go(func() { d.work(m) })
			}
		}
		if !more {
			break
		}
		select {
		case <-changed:
		case <-d.ctx.Done():
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.joining = false
	d.desert()
}

// work fetches pieces from one member until there are none, or it is of no use.
func (d *download) work(m *member) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lanes--
		d.desert()
	}()
	for failed := 0; failed < fruitless; {
		piece, ctx, ok := d.take(m.id)
		if !ok {
			return
		}
		a, err := d.fetch(ctx, m, piece)
		if err == nil {
			failed = 0
			d.bring(piece, a)
			continue
		}
		failed++
		d.giveBack(piece, m.id)
		if errors.Is(err, blob.ErrUnknown) || errors.Is(err, blob.ErrRange) || errors.Is(err, errSize) {
			break
		}
	}
	d.i.leave(d.h, m.id)
}

// desert ends a download that nobody works at any more. The caller holds mu.
func (d *download) desert() {
	if d.lanes == 0 && !d.joining && d.err == nil {
		d.err = fmt.Errorf("blob %s: %w", d.digest, ErrNobody)
	}
	d.wake.Broadcast()
}

// errSize says that a peer has another blob under the digest.
var errSize = errors.New("of another size")

func (d *download) fetch(ctx context.Context, m *member, piece int64) (arrived, error) {
	off, end := bounds(piece, d.offset, d.h.size)
	body, err := m.peer.Range(ctx, d.digest, off, end-off)
	if err != nil {
		return arrived{}, err
	}
	defer body.Close()
	if body.Size() != d.h.size {
		return arrived{}, fmt.Errorf("%w: %d bytes, not %d", errSize, body.Size(), d.h.size)
	}
	buf := buffers.Get().(*buffer)
	if _, err := io.ReadFull(body, buf[:end-off]); err != nil {
		buffers.Put(buf)
		return arrived{}, err
	}
	return arrived{buf, end - off, m.id}, nil
}

// take finds a piece to ask a peer for, waiting for one. The context ends when somebody
// else was faster.
func (d *download) take(id peer.ID) (int64, context.Context, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.err == nil {
		if piece, ok := d.pick(id); ok {
			ctx, cancel := context.WithTimeout(d.ctx, pieceTimeout)
			d.flying[piece] = append(d.flying[piece], flight{id, cancel})
			return piece, ctx, true
		}
		if d.at > pieceOf(d.h.size-1) {
			break
		}
		d.wake.Wait()
	}
	return 0, nil, false
}

// pick chooses: what somebody failed at, then what nobody was asked for, then what the
// reader waits for while others, who may have stalled, were asked. The caller holds mu.
func (d *download) pick(id peer.ID) (piece int64, ok bool) {
	if n := len(d.again); n > 0 {
		piece, d.again = d.again[n-1], d.again[:n-1]
		return piece, true
	}
	if d.fresh < d.at+window && d.fresh <= pieceOf(d.h.size-1) {
		d.fresh++
		return d.fresh - 1, true
	}
	asked := d.flying[d.at]
	return d.at, len(asked) > 0 && !slices.ContainsFunc(asked, func(f flight) bool { return f.from == id })
}

// bring hands in a piece. Other attempts at it are cut off.
func (d *download) bring(piece int64, a arrived) {
	d.mu.Lock()
	defer d.mu.Unlock()
	attempts, wanted := d.flying[piece]
	delete(d.flying, piece)
	for _, f := range attempts {
		f.cancel()
	}
	if !wanted || d.err != nil {
		buffers.Put(a.buf)
		return
	}
	d.ready[piece] = a
	d.wake.Broadcast()
}

// giveBack lets somebody else try, unless somebody does.
func (d *download) giveBack(piece int64, id peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var others []flight
	for _, f := range d.flying[piece] {
		if f.from == id {
			f.cancel()
		} else {
			others = append(others, f)
		}
	}
	switch _, wanted := d.flying[piece]; {
	case !wanted: // somebody else brought it
	case len(others) > 0:
		d.flying[piece] = others
	default:
		delete(d.flying, piece)
		d.again = append(d.again, piece)
	}
	d.wake.Broadcast()
}

func (d *download) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	d.wake.Broadcast()
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	if len(d.current) == 0 {
		if err := d.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.current)
	d.current = d.current[n:]
	return n, nil
}

// advance waits for the next piece.
func (d *download) advance() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reading != nil {
		buffers.Put(d.reading)
		d.reading = nil
	}
	if d.at > pieceOf(d.h.size-1) || d.offset >= d.h.size {
		return io.EOF
	}
	for {
		if a, ok := d.ready[d.at]; ok {
			delete(d.ready, d.at)
			off, _ := bounds(d.at, d.offset, d.h.size)
			d.reading, d.current = a.buf, a.buf[:a.n]
			d.h.trail = append(d.h.trail, mark{off: off, n: a.n, sum: sumOf(d.current), from: a.from})
			d.at++
			d.wake.Broadcast()
			return nil
		}
		if d.err != nil {
			return d.err
		}
		d.wake.Wait()
	}
}

// Close ends what is still on its way.
func (d *download) Close() error {
	d.cancel()
	d.wg.Wait()
	return nil
}
