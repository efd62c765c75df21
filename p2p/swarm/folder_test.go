package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// shelf is a peer with several blobs.
type shelf map[string]*fake

func (s shelf) Range(ctx context.Context, digest string, offset, length int64) (blob.Body, error) {
	f := s[digest]
	if f == nil {
		return nil, blob.ErrUnknown
	}
	if length == 0 {
		length = int64(len(f.content)) - offset
	}
	return f.Range(ctx, digest, offset, length)
}

func (shelf) Close() error { return nil }

// crew is a swarm of shelves, and who of them lied.
func crew(liars *[]peer.ID, shelves map[peer.ID]shelf) *Swarm {
	c := &crowd{peers: make(map[peer.ID]*fake)}
	for id := range shelves {
		c.peers[id] = nil // to be found
	}
	cfg := c.swarm().cfg
	cfg.Open = func(id peer.ID) Peer { return shelves[id] }
	cfg.Lied = func(id peer.ID) { *liars = append(*liars, id) }
	return New(cfg)
}

// files are the blobs of a folder, its manifest's digest first.
func files(t *testing.T, contents ...[]byte) (manifest string, blobs map[string][]byte) {
	t.Helper()
	m, blobs := &marketv1.Manifest{}, make(map[string][]byte)
	for i, c := range contents {
		m.Entries = append(m.Entries, &marketv1.Entry{Path: string(rune('a' + i)), Mode: 0o644, SizeBytes: uint64(len(c)), Digest: blob.Digest(c)})
		blobs[blob.Digest(c)] = c
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	blobs[blob.Digest(b)] = b
	return blob.Digest(b), blobs
}

func shelfOf(blobs map[string][]byte) shelf {
	s := shelf{}
	for digest, c := range blobs {
		s[digest] = &fake{content: c}
	}
	return s
}

func emptyStore(t *testing.T) *blob.Store {
	t.Helper()
	s, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func holdsAll(t *testing.T, s *blob.Store, blobs map[string][]byte) {
	t.Helper()
	for digest := range blobs {
		if !s.Has(digest) {
			t.Errorf("blob %s of %d bytes is not here", digest, len(blobs[digest]))
		}
	}
}

func TestAFolderComesFromPeersThatHavePartsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := content(5*pieceSize + 9)
		manifest, blobs := files(t, big, nil, content(77), content(77))
		all, some := shelfOf(blobs), shelfOf(blobs)
		delete(some, blob.Digest(content(77)))
		var liars []peer.ID
		var done, total int64
		store := emptyStore(t)
		err := crew(&liars, map[peer.ID]shelf{"all": all, "nothing": {}, "some": some}).Folder(t.Context(), Folder{
			Manifest: manifest, Progress: func(d, of int64) { done, total = max(done, d), of },
		}, store)
		if err != nil || len(liars) > 0 {
			t.Fatalf("%v; %v are said to have lied", err, liars)
		}
		holdsAll(t, store, blobs)
		if want := int64(len(big) + 77); done != want || total != want {
			t.Errorf("told of %d of %d bytes, want %d", done, total, want)
		}
	})
}

func TestALiarSpoilsNoFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := content(3 * pieceSize)
		manifest, blobs := files(t, big, content(5000))
		bad := shelfOf(blobs)
		for _, f := range bad {
			f.lies = func(int64) bool { return true }
		}
		var liars []peer.ID
		store := emptyStore(t)
		err := crew(&liars, map[peer.ID]shelf{"a liar": bad, "honest": shelfOf(blobs), "too": shelfOf(blobs)}).Folder(t.Context(), Folder{Manifest: manifest}, store)
		if err != nil || !slices.Equal(liars, []peer.ID{"a liar"}) {
			t.Errorf("%v; %v are said to have lied", err, liars)
		}
		holdsAll(t, store, blobs)
	})
}

// elsewhere has blobs, and counts what it gave.
type elsewhere struct {
	blobs map[string][]byte
	gave  int
}

func (e *elsewhere) Blob(_ context.Context, digest string, offset int64) (io.ReadCloser, error) {
	c, ok := e.blobs[digest]
	if !ok {
		return nil, blob.ErrUnknown
	}
	e.gave += len(c) - int(offset)
	return io.NopCloser(bytes.NewReader(c[offset:])), nil
}

func TestWhatNoPeerHasComesFromElsewhereAndWhatIsHereFromNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := content(1000), content(2000), content(3000)
		manifest, blobs := files(t, first, second, third)
		peers := shelfOf(blobs)
		delete(peers, blob.Digest(second))
		var liars []peer.ID
		other := &elsewhere{blobs: blobs}
		store := emptyStore(t)
		if err := store.Put(t.Context(), blob.Digest(third), bytes.NewReader(third)); err != nil {
			t.Fatal(err)
		}
		var missing int64
		want := Folder{Manifest: manifest, Elsewhere: other, Room: func(n int64) error { missing = n; return nil }}
		if err := crew(&liars, map[peer.ID]shelf{"a": peers}).Folder(t.Context(), want, store); err != nil {
			t.Fatal(err)
		}
		holdsAll(t, store, blobs)
		if other.gave != len(second) || missing != 3000 {
			t.Errorf("elsewhere gave %d bytes, and %d were said to be missing", other.gave, missing)
		}
		other.gave = 0
		alone := emptyStore(t)
		if err := crew(&liars, nil).Folder(t.Context(), want, alone); err != nil {
			t.Fatalf("without a peer: %v", err)
		}
		holdsAll(t, alone, blobs)
	})
}

func TestAFolderThatCannotBeHadSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		manifest, blobs := files(t, content(1000))
		without := shelfOf(blobs)
		delete(without, blob.Digest(content(1000)))
		noRoom := errors.New("no room")
		for what, c := range map[string]struct {
			from shelf
			want Folder
			err  error
		}{
			"nobody has it":           {shelf{}, Folder{Manifest: manifest}, ErrNobody},
			"nobody has a file of it": {without, Folder{Manifest: manifest}, ErrNobody},
			"it is too large":         {shelfOf(blobs), Folder{Manifest: manifest, Limits: tree.Limits{Bytes: 999}}, tree.ErrTooMuch},
			"there is no room":        {shelfOf(blobs), Folder{Manifest: manifest, Room: func(int64) error { return noRoom }}, noRoom},
			"it is no folder":         {shelfOf(blobs), Folder{Manifest: blob.Digest(content(1000))}, tree.ErrManifest},
		} {
			var liars []peer.ID
			err := crew(&liars, map[peer.ID]shelf{"a": c.from}).Folder(t.Context(), c.want, emptyStore(t))
			if !errors.Is(err, c.err) || len(liars) > 0 {
				t.Errorf("%s: %v; %v are said to have lied", what, err, liars)
			}
		}
	})
}

func TestAFolderGoesOnWhereItWasCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := content(8 * pieceSize)
		manifest, blobs := files(t, content(10), big)
		store := emptyStore(t)
		giving := shelfOf(blobs)
		giving[blob.Digest(big)].fails = func(off int64) bool { return off >= 4*pieceSize }
		var liars []peer.ID
		if err := crew(&liars, map[peer.ID]shelf{"a": giving}).Folder(t.Context(), Folder{Manifest: manifest}, store); !errors.Is(err, ErrNobody) {
			t.Fatalf("a peer that fails: %v", err)
		}
		again := shelfOf(blobs)
		if err := crew(&liars, map[peer.ID]shelf{"a": again}).Folder(t.Context(), Folder{Manifest: manifest}, store); err != nil || len(liars) > 0 {
			t.Fatalf("%v, %v", err, liars)
		}
		holdsAll(t, store, blobs)
		if sent := again[blob.Digest(big)].sent; sent != 4*pieceSize {
			t.Errorf("%d bytes were sent again", sent)
		}
	})
}
