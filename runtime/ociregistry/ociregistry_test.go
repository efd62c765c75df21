package ociregistry_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/oci"
	"github.com/rigmesh/rigmesh/runtime/ociregistry"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

var _ runtime.BlobSource = (*ociregistry.Image)(nil)

// serve serves a registry on loopback and gives its host. between sees every request first.
func serve(t *testing.T, between func(next http.Handler) http.Handler) string {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if between != nil {
		h = between(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// withoutLogin makes sure that no docker credentials of this machine play a part.
func withoutLogin(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
}

func push(t *testing.T, ref string, o ociimage.Options, platforms ...string) {
	t.Helper()
	if err := ociimage.PushBusybox(t.Context(), ref, o, platforms...); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, ref, platform string) *ociregistry.Image {
	t.Helper()
	i, err := ociregistry.Open(t.Context(), ref, platform)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// read reads a blob whole.
func read(t *testing.T, i *ociregistry.Image, digest string) ([]byte, error) {
	t.Helper()
	r, err := i.Blob(t.Context(), digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return io.ReadAll(r)
}

// whole checks that every blob is what it is called.
func whole(t *testing.T, i *ociregistry.Image) {
	t.Helper()
	var total int64
	for _, b := range i.Blobs() {
		content, err := read(t, i, b.Digest)
		if err != nil || int64(len(content)) != b.Size || digest.FromBytes(content).String() != b.Digest {
			t.Errorf("blob %s: %d of %d bytes, %v", b.Digest, len(content), b.Size, err)
		}
		total += b.Size
	}
	if total != i.TotalBytes() || len(i.Blobs()) == 0 {
		t.Errorf("%d blobs of %d bytes, said to be %d", len(i.Blobs()), total, i.TotalBytes())
	}
}

func TestAnImageIsFoundByTagAndByDigest(t *testing.T) {
	withoutLogin(t)
	host := serve(t, nil)
	for _, docker := range []bool{false, true} {
		o := ociimage.BusyboxOptions()
		o.Docker = docker
		push(t, host+"/team/busybox:1.0", o)
		byTag := open(t, host+"/team/busybox:1.0", "linux/amd64")
		whole(t, byTag)
		if !oci.IsManifest(byTag.Image().MediaType) || strings.Contains(byTag.Image().MediaType, "docker") != docker {
			t.Errorf("image %+v", byTag.Image())
		}
		byDigest := open(t, host+"/team/busybox@"+byTag.Image().Digest, "linux/amd64")
		if diff := cmp.Diff(byTag.Image(), byDigest.Image()); diff != "" {
			t.Error(diff)
		}
		both := open(t, host+"/team/busybox:other@"+byTag.Image().Digest, "linux/amd64")
		if diff := cmp.Diff(byTag.Blobs(), both.Blobs()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestOfAnIndexThePlatformAskedForIsTaken(t *testing.T) {
	withoutLogin(t)
	host := serve(t, nil)
	o := ociimage.BusyboxOptions()
	o.Docker = true
	push(t, host+"/busybox", o, "linux/amd64", "linux/amd64/v3", "linux/arm64/v8", "linux/arm/v7")
	amd, arm := open(t, host+"/busybox", ""), open(t, host+"/busybox:latest", "linux/arm64")
	whole(t, amd)
	whole(t, arm)
	if amd.Image().Digest != arm.Image().Digest || !oci.IsIndex(amd.Image().MediaType) || arm.Image().Platform != "linux/arm64" {
		t.Errorf("%+v and %+v", amd.Image(), arm.Image())
	}
	if a, b := amd.Blobs(), arm.Blobs(); len(a) != 4 || a[0] != b[0] || a[1] == b[1] {
		t.Errorf("%v and %v", a, b)
	}
	_, err := ociregistry.Open(t.Context(), host+"/busybox", "linux/riscv64")
	if !errors.Is(err, oci.ErrPlatform) || !strings.Contains(err.Error(), "linux/riscv64: there is linux/amd64, linux/amd64/v3, linux/arm64, linux/arm/v7") {
		t.Error(err)
	}
}

func TestWhatARegistryLacksIsNamed(t *testing.T) {
	withoutLogin(t)
	host := serve(t, nil)
	push(t, host+"/busybox:1", ociimage.BusyboxOptions())
	for _, name := range []string{"/busybox:2", "/nothing:1", "/busybox@" + digest.FromString("x").String()} {
		_, err := ociregistry.Open(t.Context(), host+name, "")
		if !errors.Is(err, ociregistry.ErrNotFound) || !strings.Contains(err.Error(), host+name) {
			t.Error(err)
		}
	}
}

func TestAnUnreachableRegistryIsNamedWithTheReason(t *testing.T) {
	withoutLogin(t)
	s := httptest.NewServer(nil)
	host := strings.TrimPrefix(s.URL, "http://")
	s.Close()
	_, err := ociregistry.Open(t.Context(), host+"/busybox", "")
	if !errors.Is(err, ociregistry.ErrUnreachable) || !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

// basic wants a name and a password.
func basic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// login writes the credentials as docker login does.
func login(t *testing.T, host, user, password string) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDockersCredentialsAreUsed(t *testing.T) {
	withoutLogin(t)
	host := serve(t, basic)
	login(t, host, "me", "secret")
	name := host + "/busybox:1"
	push(t, name, ociimage.BusyboxOptions())
	whole(t, open(t, name, ""))

	login(t, host, "me", "wrong")
	denied(t, name, host)
	withoutLogin(t)
	denied(t, name, host)
}

func denied(t *testing.T, name, host string) {
	t.Helper()
	_, err := ociregistry.Open(t.Context(), name, "")
	var d *ociregistry.DeniedError
	if !errors.As(err, &d) || d.Host != host || !strings.Contains(err.Error(), name) {
		t.Errorf("%v", err)
	}
}

func TestATokenIsFetchedWhereARegistryWantsOne(t *testing.T) {
	withoutLogin(t)
	var host string
	bearer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token":
				user, password, _ := r.BasicAuth()
				if r.URL.Query().Get("scope") != "repository:busybox:pull" && r.URL.Query().Get("scope") != "repository:busybox:push,pull" || user != "me" || password != "secret" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprint(w, `{"token":"ticket"}`)
			case r.Header.Get("Authorization") != "Bearer ticket":
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="it"`, host))
				w.WriteHeader(http.StatusUnauthorized)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
	host = serve(t, bearer)
	login(t, host, "me", "secret")
	push(t, host+"/busybox:1", ociimage.BusyboxOptions())
	whole(t, open(t, host+"/busybox:1", ""))
	withoutLogin(t)
	denied(t, host+"/busybox:1", host)
}

func TestALyingRegistryIsRefused(t *testing.T) {
	withoutLogin(t)
	var lies atomic.Value // part of the path of what is answered wrongly
	lies.Store("nothing")
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, lies.Load().(string)) {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(bytes.ReplaceAll(rec.Body.Bytes(), rec.Body.Bytes()[10:12], []byte("##")))
		})
	})
	push(t, host+"/busybox:1", ociimage.BusyboxOptions())
	honest := open(t, host+"/busybox:1", "")
	blobs := honest.Blobs() // manifest, config, layer
	for _, what := range []string{"/manifests/1", blobs[1].Digest} {
		lies.Store(what)
		if _, err := ociregistry.Open(t.Context(), host+"/busybox:1", ""); err == nil {
			t.Errorf("a changed %s is believed", what)
		}
	}
	lies.Store(blobs[2].Digest)
	if _, err := read(t, honest, blobs[2].Digest); !errors.Is(err, ociregistry.ErrDigest) || !strings.Contains(err.Error(), host) {
		t.Error(err)
	}
}
