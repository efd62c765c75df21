package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lease = []byte("a lease id of 32 bytes, or so...")

func everybody(peer.ID, []byte, string) bool { return true }

// served is a store at one host and a Remote of it at another.
func served(t testing.TB, authorize blob.Authorize) (*blob.Store, *blob.Remote, [2]*p2p.Host) {
	t.Helper()
	hosts := p2ptest.Loopback(t, 2)
	p2ptest.Introduce(t, hosts[1], hosts[0])
	s := open(t, t.TempDir())
	blob.Serve(hosts[0], s, authorize, nil)
	r := blob.Source(hosts[1], hosts[0].ID(), lease)
	t.Cleanup(func() { _ = r.Close() })
	return s, r, [2]*p2p.Host{hosts[0], hosts[1]}
}

func put(t testing.TB, s *blob.Store, content []byte) string {
	t.Helper()
	digest, err := s.PutBytes(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func streams(h *p2p.Host, name string) int {
	n := 0
	for _, c := range h.Libp2p().Network().Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == h.Protocol(name) {
				n++
			}
		}
	}
	return n
}

func TestOneStreamServesManyRequests(t *testing.T) {
	s, r, hosts := served(t, everybody)
	for _, n := range []int{0, 1, 128 << 10, 128<<10 + 1, 1 << 20} {
		content := random(n)
		digest := put(t, s, content)
		if got := readAll(t, r, digest, 0); !bytes.Equal(got, content) {
			t.Errorf("%d bytes: content differs", n)
		}
		if got := readAll(t, r, digest, int64(n/3)); !bytes.Equal(got, content[n/3:]) {
			t.Errorf("%d bytes from a third on: content differs", n)
		}
	}
	if _, err := r.Blob(t.Context(), blob.Digest([]byte("nothing")), 0); !errors.Is(err, blob.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if _, err := r.Blob(t.Context(), put(t, s, []byte("abc")), 4); !errors.Is(err, blob.ErrRange) {
		t.Errorf("got %v, want ErrRange", err)
	}
	if n := streams(hosts[1], "blob"); n != 1 {
		t.Errorf("%d streams were used, want 1", n)
	}
}

func TestRefusedAndUnknownLookTheSame(t *testing.T) {
	var asked atomic.Pointer[[]byte]
	s, r, _ := served(t, func(_ peer.ID, leaseID []byte, _ string) bool {
		asked.Store(&leaseID)
		return false
	})
	digest := put(t, s, []byte("private"))
	_, refused := r.Blob(t.Context(), digest, 0)
	_, beyond := r.Blob(t.Context(), digest, 100) // would tell its size
	if !errors.Is(refused, blob.ErrUnknown) || !errors.Is(beyond, blob.ErrUnknown) {
		t.Errorf("got %v and %v, want ErrUnknown", refused, beyond)
	}
	if got := asked.Load(); got == nil || !bytes.Equal(*got, lease) {
		t.Errorf("asked for lease %q", got)
	}
}

func TestAnAbandonedReadDoesNotDisturbTheNext(t *testing.T) {
	s, r, _ := served(t, everybody)
	large, small := put(t, s, random(4<<20)), put(t, s, []byte("small"))
	body, err := r.Blob(t.Context(), large, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r, small, 0); string(got) != "small" { // while the first is open
		t.Errorf("got %q", got)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r, small, 0); string(got) != "small" {
		t.Errorf("got %q", got)
	}
}

func TestAStaleKeptStreamIsReplaced(t *testing.T) {
	s, r, hosts := served(t, everybody)
	digest := put(t, s, []byte("x"))
	readAll(t, r, digest, 0)
	if err := hosts[0].Libp2p().Network().ClosePeer(hosts[1].ID()); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r, digest, 0); string(got) != "x" {
		t.Errorf("got %q", got)
	}
}

// Content that is on its way through a relay goes on over the direct connection, once
// there is one.
func TestBulkLeavesARelayForADirectConnection(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 3, p2ptest.Link{})
		from, to, via := hosts[0], hosts[1], hosts[2]
		s := open(t, t.TempDir())
		blob.Serve(from, s, everybody, nil)
		content := random(8 << 20)
		digest := put(t, s, content)
		small := put(t, s, []byte("small"))
		r := blob.Source(to, from.ID(), lease)
		t.Cleanup(func() { _ = r.Close() })
		p2ptest.Relayed(t, to, from, via)
		readAll(t, r, small, 0) // leaves a kept stream
		var got bytes.Buffer
		whole := direct{r, func() { p2ptest.GoDirect(t, to, from) }}
		if n, err := blob.Copy(t.Context(), whole, digest, &got, 0); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Fatalf("%d bytes of %d: %v", n, len(content), err)
		}
		if through := relayed(to, "blob"); through != 0 {
			t.Errorf("%d streams still run through the relay", through)
		}
		if n := streams(to, "blob"); n == 0 {
			t.Error("no stream was kept: this test proves nothing")
		}
	})
}

// direct adds a direct connection after the first bytes.
type direct struct {
	blob.Blobs
	connect func()
}

func (d direct) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	body, err := d.Blobs.Blob(ctx, digest, offset)
	if offset > 0 || err != nil {
		return body, err
	}
	first := make([]byte, 100)
	_, err = io.ReadFull(body, first)
	d.connect()
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(first), body), body}, err
}

// relayed counts the streams of a protocol that run through a relay.
func relayed(h *p2p.Host, name string) (n int) {
	for _, c := range h.Libp2p().Network().Conns() {
		for _, s := range c.GetStreams() {
			if c.Stat().Limited && s.Protocol() == h.Protocol(name) {
				n++
			}
		}
	}
	return n
}

func TestCancellingEndsARead(t *testing.T) {
	s, r, _ := served(t, everybody)
	ctx, cancel := context.WithCancel(t.Context())
	body, err := r.Blob(ctx, put(t, s, random(64<<20)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// cutting closes the connection after every so many bytes.
type cutting struct {
	blob.Content
	h     *p2p.Host
	every int64
}

func (c cutting) Reader(digest string, offset int64) (io.ReadCloser, error) {
	r, err := c.Content.Reader(digest, offset)
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, c.every), cut{c.h}), r}, err
}

type cut struct{ h *p2p.Host }

func (c cut) Read([]byte) (int, error) {
	for _, conn := range c.h.Libp2p().Network().Conns() {
		_ = conn.Close()
	}
	return 0, io.ErrUnexpectedEOF
}

func TestFetchGoesOnAfterEveryLoss(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	p2ptest.Introduce(t, hosts[1], hosts[0])
	from, to := open(t, t.TempDir()), open(t, t.TempDir())
	content := random(3 << 20)
	digest := put(t, from, content)
	blob.Serve(hosts[0], cutting{from, hosts[0], 1 << 20}, everybody, nil)
	src := blob.Source(hosts[1], hosts[0].ID(), lease)
	if err := blob.Fetch(t.Context(), src, digest, to); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, to, digest, 0); !bytes.Equal(got, content) {
		t.Error("content differs")
	}
}

func TestFetchGivesUpOnASourceThatBringsNothing(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		src := blob.Source(hosts[1], hosts[0].ID(), lease) // nobody serves there
		p2ptest.Introduce(t, hosts[1], hosts[0])
		err := blob.Fetch(t.Context(), src, blob.Digest(nil), open(t, t.TempDir()))
		if !errors.Is(err, stream.ErrProtocol) {
			t.Errorf("got %v, want ErrProtocol", err)
		}
	})
}

// liar serves other content under a digest.
type liar struct{ *blob.Store }

func (l liar) Reader(string, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte("1234"))), nil
}
func (l liar) Size(string) (int64, error) { return 4, nil }

func TestFetchRefusesContentWithAnotherDigest(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	p2ptest.Introduce(t, hosts[1], hosts[0])
	blob.Serve(hosts[0], liar{}, everybody, nil)
	src := blob.Source(hosts[1], hosts[0].ID(), lease)
	to := open(t, t.TempDir())
	digest := blob.Digest([]byte("abcd"))
	if err := blob.Fetch(t.Context(), src, digest, to); !errors.Is(err, blob.ErrDigest) {
		t.Errorf("got %v, want ErrDigest", err)
	}
	if to.Has(digest) {
		t.Error("it was kept")
	}
}

func TestFetchStartsOverWhenWhatWasLeftIsWrong(t *testing.T) {
	from, to := open(t, t.TempDir()), open(t, t.TempDir())
	content := random(1000)
	digest := put(t, from, content)
	for name, left := range map[string][]byte{"same length": make([]byte, 500), "too long": make([]byte, 2000)} {
		t.Run(name, func(t *testing.T) {
			if err := to.Remove(digest); err != nil {
				t.Fatal(err)
			}
			w, err := to.Writer(t.Context(), digest)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(left); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := blob.Fetch(t.Context(), from, digest, to); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFetchAtMostStopsBeforeTheDiskFills(t *testing.T) {
	s, r, _ := served(t, everybody)
	digest := put(t, s, random(1000))
	to := open(t, t.TempDir())
	for _, src := range []blob.Blobs{r, s} {
		if err := blob.FetchAtMost(t.Context(), src, digest, to, 999); !errors.Is(err, blob.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
	}
	if err := blob.FetchAtMost(t.Context(), r, digest, to, 1000); err != nil {
		t.Error(err)
	}
}

func TestManyReadersAtOnce(t *testing.T) {
	s, r, _ := served(t, everybody)
	var wg sync.WaitGroup
	for range 6 {
		content := random(300_000)
		digest := put(t, s, content)
		wg.Go(func() {
			for range 5 {
				if got := readAll(t, r, digest, 0); !bytes.Equal(got, content) {
					t.Error("content differs")
				}
			}
		})
	}
	wg.Wait()
}

// A peer that answers nonsense is an error of the read and no more.
func TestNonsenseAnswersAreErrors(t *testing.T) {
	size := func(n uint64) *leasev1.BlobFrame {
		return &leasev1.BlobFrame{Frame: &leasev1.BlobFrame_SizeBytes{SizeBytes: n}}
	}
	data := func(n int) *leasev1.BlobFrame {
		return &leasev1.BlobFrame{Frame: &leasev1.BlobFrame_Data{Data: make([]byte, n)}}
	}
	for name, answer := range map[string][]*leasev1.BlobFrame{
		"nothing":          {{}},
		"data first":       {data(1)},
		"no error":         {{Frame: &leasev1.BlobFrame_Error{}}},
		"impossible size":  {size(1 << 63)},
		"more than it has": {size(10), data(11)},
		"endless empties":  {size(10), data(0)},
		"two sizes":        {size(10), size(10)},
		"less than it has": {size(10), data(9)},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := p2ptest.Loopback(t, 2)
			p2ptest.Introduce(t, hosts[1], hosts[0])
			stream.Accept(hosts[0], "blob", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
				_ = c.Recv(&leasev1.BlobRequest{})
				for _, f := range answer {
					_ = c.Send(f)
				}
			})
			src := blob.Source(hosts[1], hosts[0].ID(), lease)
			r, err := src.Blob(t.Context(), blob.Digest(nil), 0)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if !errors.Is(err, stream.ErrMalformed) && !errors.Is(err, stream.ErrReset) {
				t.Errorf("got %v, want ErrMalformed or ErrReset", err)
			}
		})
	}
}

func TestNonsenseRequestsEndTheirStreamOnly(t *testing.T) {
	s, r, hosts := served(t, everybody)
	digest := put(t, s, []byte("x"))
	p2ptest.Connect(t, hosts[1], hosts[0])
	for _, b := range []string{"\xff\xff\xff\xff\xff\xff\xff", "\x02\xff\xff", "\x00", "\xff\xff\xff\x7f", "\x05\x12"} {
		raw, err := hosts[1].Libp2p().NewStream(network.WithAllowLimitedConn(t.Context(), ""), hosts[0].ID(), hosts[0].Protocol("blob"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(raw, b)
		_ = raw.CloseWrite()
		_, _ = io.Copy(io.Discard, raw)
		_ = raw.Close()
	}
	if got := readAll(t, r, digest, 0); string(got) != "x" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkFetch(b *testing.B) {
	s, r, hosts := served(b, everybody)
	const size = 256 << 20
	digest := put(b, s, random(size))
	b.Run("blob to disk", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			to := open(b, b.TempDir())
			if err := blob.Fetch(b.Context(), r, digest, to); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("blob to hash", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := blob.Copy(b.Context(), r, digest, io.Discard, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	rawStream(b, s, hosts, digest, size)
}
