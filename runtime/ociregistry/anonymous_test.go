package ociregistry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/ociregistry"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

var _ runtime.BlobSource = (*ociregistry.PublicImage)(nil)

// take reads from a public image, with private addresses allowed.
func take(t *testing.T, ref, digest string, offset int64) ([]byte, error) {
	t.Helper()
	p, err := ociregistry.Anonymous(ref, publicnet.Transport(publicnet.AnyAddress()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Blob(t.Context(), digest, offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestEveryBlobOfAPublicImageIsReadWithoutCredentials(t *testing.T) {
	withoutLogin(t)
	ref := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range") // this registry does not know the kind that goes to the end
			next.ServeHTTP(w, r)
		})
	}) + "/a/b:1"
	push(t, ref, ociimage.Options{}, "linux/amd64")
	i := open(t, ref, "")
	for _, b := range i.Blobs() {
		want, err := read(t, i, b.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for _, offset := range []int64{0, 7} {
			if got, err := take(t, ref, b.Digest, offset); err != nil || !bytes.Equal(got, want[offset:]) {
				t.Errorf("%s from %d: %d bytes, %v", b.Digest, offset, len(got), err)
			}
		}
	}
}

func TestAnImageOnLoopbackIsNotPublic(t *testing.T) {
	withoutLogin(t)
	ref := serve(t, nil) + "/a/b:1"
	push(t, ref, ociimage.Options{}, "linux/amd64")
	if open(t, ref, "").Public() {
		t.Error("an image of this machine passes for public")
	}
}

func TestAPrivateRegistryIsNotReachedForAStranger(t *testing.T) {
	var asked atomic.Int32
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); next.ServeHTTP(w, r) })
	})
	p, err := ociregistry.Anonymous(host+"/a/b:1", publicnet.Transport())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Blob(t.Context(), "sha256:"+strings.Repeat("0", 64), 0)
	if !errors.Is(err, publicnet.ErrNotPublic) || asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

// A registry that may be reached names other servers: where to get a token, where a blob is.
func TestARegistryLeadsNowhereThatIsNotPublic(t *testing.T) {
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inside.Close()
	named := strings.Replace(inside.URL, "127.0.0.1", "localhost", 1) // an address would be refused before it is dialled
	for what, answer := range map[string]http.HandlerFunc{
		"realm": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+named+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := httptest.NewServer(answer)
			defer s.Close()
			host := strings.TrimPrefix(s.URL, "http://")
			p, err := ociregistry.Anonymous(host+"/a/b:1", ociregistry.OnlyExcept(host))
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Blob(t.Context(), "sha256:"+strings.Repeat("0", 64), 0)
			if !errors.Is(err, publicnet.ErrNotPublic) || reached.Load() != 0 {
				t.Errorf("%v, reached %d times", err, reached.Load())
			}
		})
	}
}
