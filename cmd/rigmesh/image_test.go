package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// startRegistry serves a registry that holds busybox:1, and counts the layers it gives.
// Once closed, it wants credentials.
func startRegistry(t *testing.T) (host string, layers *atomic.Int64, closed *atomic.Bool) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	layers, closed = new(atomic.Int64), new(atomic.Bool)
	r := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if closed.Load() {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		counted := &countingWriter{ResponseWriter: w}
		r.ServeHTTP(counted, req)
		if counted.n > 100_000 {
			layers.Add(1)
		}
	}))
	t.Cleanup(s.Close)
	host = strings.TrimPrefix(s.URL, "http://")
	o := ociimage.BusyboxOptions()
	o.Platform = defaultPlatform
	if err := ociimage.PushBusybox(t.Context(), host+"/busybox:1", o); err != nil {
		t.Fatal(err)
	}
	return host, layers, closed
}

type countingWriter struct {
	http.ResponseWriter
	n int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n += n
	return n, err
}

func TestRunTakesAnImageFromARegistryOnce(t *testing.T) {
	host, layers, closed := startRegistry(t)
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 3})}
	for _, downloads := range []int{1, 0} {
		_, stderr, code := f.rigmesh("run", host+"/busybox:1", "true")
		if code != 3 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if n := strings.Count(stderr, "downloading "+host+"/busybox:1, "); n != downloads {
			t.Errorf("%d downloads are named, not %d: %s", n, downloads, stderr)
		}
		image := f.submission.GetSpec().GetImage()
		if image.Name != host+"/busybox:1" || !f.Has(image.Digest) || image.TotalBytes < 100_000 {
			t.Errorf("image %v", image)
		}
	}
	if n := layers.Load(); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
	closed.Store(true)
	_, stderr, code := f.rigmesh("run", host+"/busybox:1", "true")
	if want := fmt.Sprintf("rigmesh: hint: log in with: docker login %s\n", host); code != 125 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
