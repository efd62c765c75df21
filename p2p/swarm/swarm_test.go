package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

// fake is a peer in memory.
type fake struct {
	content []byte               // nil: it has nothing
	lies    func(off int64) bool // changes a byte of what it sends from there
	fails   func(off int64) bool // breaks off
	stalls  bool                 // never answers
	asked   func()               // is called before it answers; nil: nothing is
	mu      sync.Mutex
	sent    int64
}

func (f *fake) Range(ctx context.Context, _ string, offset, length int64) (blob.Body, error) {
	if f.asked != nil {
		f.asked()
	}
	if f.stalls {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.content == nil {
		return nil, blob.ErrUnknown
	}
	out := bytes.Clone(f.content[offset : offset+length])
	if f.lies != nil && f.lies(offset) {
		out[len(out)/2] ^= 1
	}
	if f.fails != nil && f.fails(offset) {
		out = out[:len(out)/3]
	}
	f.mu.Lock()
	f.sent += int64(len(out))
	f.mu.Unlock()
	return answer{bytes.NewReader(out), int64(len(f.content))}, nil
}

func (*fake) Close() error { return nil }

type answer struct {
	io.Reader
	size int64
}

func (a answer) Size() int64 { return a.size }
func (answer) Close() error  { return nil }

// crowd is peers in memory, and who of them was found to lie.
type crowd struct {
	peers map[peer.ID]*fake
	mu    sync.Mutex
	liars []peer.ID
}

func (c *crowd) swarm() *Swarm {
	return New(Config{
		Find: func(context.Context, string, int) iter.Seq[peer.ID] {
			return func(yield func(peer.ID) bool) {
				for _, id := range slices.Sorted(mapKeys(c.peers)) {
					if !yield(id) {
						return
					}
				}
			}
		},
		Open: func(id peer.ID) Peer { return c.peers[id] },
		Lied: func(id peer.ID) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.liars = append(c.liars, id)
		},
		Log: slog.New(slog.DiscardHandler),
	})
}

func mapKeys(m map[peer.ID]*fake) iter.Seq[peer.ID] {
	return func(yield func(peer.ID) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// pull reads a blob as a runtime does: on from where it came to, and again from the
// beginning when the whole is wrong. registry is asked when no peer is left; nil: there is none.
func pull(ctx context.Context, i *Image, digest string, size int64, registry []byte) ([]byte, error) {
	var got []byte
	for range 50 {
		var body io.ReadCloser
		body, err := i.Layer(ctx, digest, size, int64(len(got)))
		if errors.Is(err, ErrNobody) && registry != nil {
			body = i.Elsewhere(digest, size, int64(len(got)), io.NopCloser(bytes.NewReader(registry[len(got):])))
		} else if err != nil {
			return nil, err
		}
		more, err := io.ReadAll(body)
		_ = body.Close()
		got = append(got, more...)
		if err != nil {
			continue
		}
		if blob.Digest(got) == digest {
			i.Good()
			return got, nil
		}
		got = nil
	}
	return nil, errors.New("fifty attempts were not enough")
}

func check(t *testing.T, c *crowd, want []byte, registry []byte) {
	t.Helper()
	i := c.swarm().Image("an image")
	defer i.Close()
	got, err := pull(t.Context(), i, blob.Digest(want), int64(len(want)), registry)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

const size = 20*pieceSize + 12345

func TestEveryPeerGivesItsPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(size)
		c := &crowd{peers: map[peer.ID]*fake{"a": {content: want}, "b": {content: want}, "c": {content: want}}}
		check(t, c, want, nil)
		var total int64
		for _, f := range c.peers {
			total += f.sent
		}
		if total < size || len(c.liars) > 0 {
			t.Errorf("%d bytes were sent, and %v lied", total, c.liars)
		}
	})
}

func TestNobodyHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, c := range map[string]*crowd{
			"no peer":                   {},
			"a peer that knows nothing": {peers: map[peer.ID]*fake{"a": {}}},
			"a peer of another blob":    {peers: map[peer.ID]*fake{"a": {content: content(size * 2)}}},
		} {
			i := c.swarm().Image("an image")
			body, err := i.Layer(t.Context(), "a blob", size, 0)
			if err == nil {
				_, err = io.ReadAll(body)
				_ = body.Close()
			}
			if !errors.Is(err, ErrNobody) {
				t.Errorf("%s: %v", what, err)
			}
			_ = i.Close()
		}
	})
}

func TestAPeerThatStallsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(size)
		check(t, &crowd{peers: map[peer.ID]*fake{"a": {stalls: true}, "b": {content: want}, "c": {stalls: true}}}, want, nil)
	})
}

func TestALiarIsFoundAndTheOthersFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(size)
		always := func(int64) bool { return true }
		for what, registry := range map[string][]byte{"with a registry": want, "with peers alone": nil} {
			late := func() { time.Sleep(time.Second) } // when the liar has brought its part
			c := &crowd{peers: map[peer.ID]*fake{
				"a": {content: want, lies: always}, "b": {content: want, asked: late}, "c": {content: want, asked: late},
			}}
			check(t, c, want, registry)
			if !slices.Equal(c.liars, []peer.ID{"a"}) {
				t.Errorf("%s: %v are said to have lied", what, c.liars)
			}
		}
	})
}

func TestTheRegistryTellsWhoLiedWhenEveryPeerDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(size)
		c := &crowd{peers: map[peer.ID]*fake{
			"a": {content: want, lies: func(off int64) bool { return off == 0 }},
			"b": {content: want, lies: func(off int64) bool { return off == 0 }},
		}}
		check(t, c, want, want)
		slices.Sort(c.liars)
		if !slices.Equal(c.liars, []peer.ID{"a", "b"}) {
			t.Errorf("%v are said to have lied", c.liars)
		}
	})
}

// TestAPeerIsNotBlamedForWhatTheReaderLost has a runtime that lost what it had, as a daemon
// that died may have, and asks for all of it again.
func TestAPeerIsNotBlamedForWhatTheReaderLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(size)
		c := &crowd{peers: map[peer.ID]*fake{"a": {content: want}}}
		i := c.swarm().Image("an image")
		defer i.Close()
		body, err := i.Layer(t.Context(), blob.Digest(want), size, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) || body.Close() != nil {
			t.Fatal("the first reading failed", err)
		}
		if _, err := pull(t.Context(), i, blob.Digest(want), size, want); err != nil || len(c.liars) > 0 {
			t.Errorf("%v, and %v are said to have lied", err, c.liars)
		}
	})
}

func TestALayerGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(size)
		c := &crowd{peers: map[peer.ID]*fake{"a": {content: want}, "b": {content: want}}}
		for _, offset := range []int64{1, pieceSize - 1, pieceSize, 3*pieceSize + 7, size - 1, size} {
			i := c.swarm().Image("an image")
			body, err := i.Layer(t.Context(), "blob", size, offset)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want[offset:]) {
				t.Errorf("from %d on: %d bytes, %v", offset, len(got), err)
			}
			_ = body.Close()
			_ = i.Close()
		}
	})
}

// TestNoCrowdHidesALiarOrBlamesTheHonest puts crowds of honest, lying, ignorant, stalling
// and failing peers together at random.
func TestNoCrowdHidesALiarOrBlamesTheHonest(t *testing.T) {
	for s := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(s, 2))
			var mu sync.Mutex
			chance := func(n int) bool { mu.Lock(); defer mu.Unlock(); return r.IntN(n) == 0 }
			want := content(4*pieceSize + r.IntN(6*pieceSize))
			c := &crowd{peers: map[peer.ID]*fake{}}
			honest := map[peer.ID]bool{}
			for n := range 1 + r.IntN(6) {
				id, f := peer.ID(fmt.Sprint("peer ", n)), &fake{content: want}
				switch r.IntN(6) {
				case 0:
					f.lies = func(int64) bool { return chance(3) }
				case 1:
					f.stalls = true
				case 2:
					f.content = nil
				case 3:
					f.fails = func(int64) bool { return chance(4) }
				}
				honest[id] = f.lies == nil
				c.peers[id] = f
			}
			check(t, c, want, want)
			for _, id := range c.liars {
				if honest[id] {
					t.Errorf("seed %d: %s is honest, and is said to have lied", s, id)
				}
			}
		})
	}
}
