package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p/blob"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// readPart reads one part of a cargo.
func readPart(t *testing.T, c *cargo, digest string) []byte {
	t.Helper()
	r, err := c.parts[digest].open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFileIsAnInputOfItsOwn(t *testing.T) {
	const content = "weights"
	digest := blob.Digest([]byte(content))
	asked := map[string]int{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.Method]++
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "w.bin")
	if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	url := web.URL + "/w.bin"
	for what, c := range map[string]struct {
		from, url string
		mode      uint32
		here      bool // the requester has the content
	}{
		"a file":                      {file, "", 0o640, true},
		"a link to one":               {link, "", 0o640, true},
		"of the web":                  {url, url, 0o644, true},
		"of the web, with its digest": {url + "@" + digest, url, 0o644, false},
	} {
		t.Run(what, func(t *testing.T) {
			clear(asked)
			cargo := &cargo{parts: map[string]part{}}
			defer cargo.Close()
			in, err := parseInput(c.from + ":/models/w.bin")
			if err != nil {
				t.Fatal(err)
			}
			if err := in.check(); err != nil {
				t.Fatal(err)
			}
			if err := cargo.addInput(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			got := cargo.inputs[0]
			if !got.File || got.ReadOnly || got.Path != "/models/w.bin" || got.TotalBytes != uint64(len(content)) {
				t.Errorf("input %v", got)
			}
			var m marketv1.Manifest
			if err := proto.Unmarshal(readPart(t, cargo, got.Manifest), &m); err != nil {
				t.Fatal(err)
			}
			want := &marketv1.Entry{Path: "file", Mode: c.mode, SizeBytes: uint64(len(content)), Digest: digest, Url: c.url}
			if len(m.Entries) != 1 || !proto.Equal(m.Entries[0], want) {
				t.Errorf("manifest %v, want %v", m.Entries, want)
			}
			if _, here := cargo.parts[digest]; here != c.here {
				t.Errorf("its content is sent from here: %v", here)
			}
			if c.here && string(readPart(t, cargo, digest)) != content {
				t.Error("another content is sent")
			}
			if !c.here && asked[http.MethodGet] > 0 {
				t.Errorf("it was asked for %v", asked)
			}
		})
	}
}

func TestAServerThatSaysNoIsNamed(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	for _, digest := range []string{"", "@" + blob.Digest(nil)} {
		c := &cargo{parts: map[string]part{}}
		err := c.addInput(t.Context(), input{from: web.URL + "/x" + digest, path: "/x"})
		if err == nil || !strings.Contains(fmt.Sprint(err), "answers 404") {
			t.Errorf("%v", err)
		}
		c.Close()
	}
}
