package node

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

func TestAWorkerFetchesFilesOfTheWebItselfAndTakesNoOther(t *testing.T) {
	const content = "weights"
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := content
		if r.URL.Path == "/lie" {
			text = "weighty"
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	defer web.Close()
	everywhere := &http.Client{Transport: publicnet.Transport(publicnet.AnyAddress())}
	for what, c := range map[string]struct {
		path   string
		client *http.Client
		has    bool // the requester has it too
		want   error
	}{
		"from the web":                          {"/w", everywhere, false, nil},
		"the web has another":                   {"/lie", everywhere, false, blob.ErrUnknown},
		"the web has another, the requester it": {"/lie", everywhere, true, nil},
		"an owner who fetches nothing":          {"/w", nil, false, blob.ErrUnknown},
		"from the requester for that owner":     {"/w", nil, true, nil},
		"a server on the owner's own network":   {"/w", &http.Client{Transport: publicnet.Transport()}, false, publicnet.ErrNotPublic},
	} {
		t.Run(what, func(t *testing.T) {
			requester, err := blob.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			digest := blob.Digest([]byte(content))
			if c.has {
				if _, err := requester.PutBytes(t.Context(), []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			packed, err := tree.PackEntry(t.Context(), &marketv1.Entry{
				Path: "file", Mode: 0o644, SizeBytes: uint64(len(content)), Digest: digest, Url: web.URL + c.path,
			}, tree.ToStore(requester))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			err = folders{requester, c.client}.Unpack(t.Context(), requester, packed.Manifest, dir)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.client != nil && err != nil && !errors.Is(err, worker.ErrContent) {
				t.Errorf("it would be tried for ever: %v", err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "file")); c.want == nil && (err != nil || string(b) != content) {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

func TestWhatCannotBePackedOfAnOutputIsNamed(t *testing.T) {
	store, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"good", "b\xffd"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := folders{store: store}.Pack(t.Context(), dir)
	if err != nil || p.Left != 1 || len(p.Skipped) != 1 || p.Bytes != 7 || !store.Has(p.Manifest) {
		t.Errorf("packed %+v, %v", p, err)
	}
}

// A task may leave as much as a folder may have.
func TestARequesterTakesEveryManifestThatAWorkerPacks(t *testing.T) {
	theirs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &marketv1.Manifest{}
	for i := range 99_000 {
		m.Entries = append(m.Entries, &marketv1.Entry{Path: fmt.Sprintf("%05d%s", i, strings.Repeat("x", 250)), LinkTarget: strings.Repeat("y", 200)})
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 40<<20 || len(b) > tree.MaxManifest {
		t.Fatalf("a manifest of %d bytes; want a large one", len(b))
	}
	digest, err := theirs.PutBytes(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := content{mine}.Manifest(t.Context(), theirs, digest)
	if err != nil || len(got.GetEntries()) != len(m.Entries) {
		t.Errorf("%d entries of %d, %v", len(got.GetEntries()), len(m.Entries), err)
	}
}

func TestAManifestThatIsNoneIsNotAskedForAgain(t *testing.T) {
	theirs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"no manifest", strings.Repeat("\x0a\x00", 200_000)} {
		digest, err := theirs.PutBytes(t.Context(), []byte(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (content{mine}).Manifest(t.Context(), theirs, digest); !errors.Is(err, requester.ErrContent) {
			t.Errorf("%.20q: got %v, want ErrContent", b, err)
		}
	}
}
