package ociregistry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/rigmesh/rigmesh/runtime/ociregistry"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// flaky cuts every answer that is a layer after some bytes, and may not know ranges.
type flaky struct {
	next     http.Handler
	ranges   bool
	after    int  // bytes of an answer
	patience int  // answers that bring anything at all; negative: no end
	hang     bool // instead of cutting

	mu     sync.Mutex
	layer  string
	ranged []string // what was asked for
}

// asked are the ranges that were asked for so far.
func (f *flaky) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ranged)
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	cut := f.layer != "" && strings.HasSuffix(r.URL.Path, f.layer)
	after := f.after
	if cut {
		f.ranged = append(f.ranged, r.Header.Get("Range"))
		if f.patience == 0 {
			after = 0
		} else {
			f.patience--
		}
	}
	f.mu.Unlock()
	if !cut {
		f.next.ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	plain := r.Clone(r.Context())
	plain.Header.Del("Range")
	f.next.ServeHTTP(rec, plain)
	content := rec.Body.Bytes()
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && f.ranges {
		offset, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(content)-1, len(content)))
		content = content[offset:]
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	}
	_, _ = w.Write(content[:min(after, len(content))])
	if after < len(content) {
		if f.hang {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler) // the connection ends here
	}
}

// flakyImage is an image with one layer behind a flaky connection.
func flakyImage(t *testing.T, f *flaky) (i *ociregistry.Image, layer string, size int64) {
	t.Helper()
	withoutLogin(t)
	ociregistry.Hurry(t)
	host := serve(t, func(next http.Handler) http.Handler {
		f.next = next
		return f
	})
	push(t, host+"/busybox:1", ociimage.BusyboxOptions())
	i = open(t, host+"/busybox:1", "")
	b := i.Blobs()[2]
	f.mu.Lock()
	f.layer = b.Digest
	f.mu.Unlock()
	return i, b.Digest, b.Size
}

func TestACutDownloadGoesOnWhereItStopped(t *testing.T) {
	f := &flaky{ranges: true, after: 100_000, patience: -1}
	i, layer, size := flakyImage(t, f)
	content, err := read(t, i, layer)
	if err != nil || digest.FromBytes(content).String() != layer {
		t.Fatalf("%d of %d bytes: %v", len(content), size, err)
	}
	if want := int(size/100_000) + 1; len(f.asked()) != want || f.asked()[1] != "bytes=100000-" {
		t.Errorf("asked %d times, not %d: %v", len(f.asked()), want, f.asked())
	}
	r, err := i.Blob(t.Context(), layer, size-50_000)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || string(rest) != string(content[size-50_000:]) {
		t.Errorf("the last %d bytes are not those: %v", len(rest), err)
	}
}

func TestADownloadThatHangsGoesOnOverAnotherConnection(t *testing.T) {
	f := &flaky{ranges: true, after: 600_000, patience: -1, hang: true}
	i, layer, size := flakyImage(t, f)
	ociregistry.StallAfter(t, 50*time.Millisecond)
	content, err := read(t, i, layer)
	if err != nil || digest.FromBytes(content).String() != layer {
		t.Errorf("%d of %d bytes: %v", len(content), size, err)
	}
}

func TestARegistryWithoutRangesIsReadAnew(t *testing.T) {
	f := &flaky{ranges: false, after: 1 << 30, patience: -1}
	i, layer, size := flakyImage(t, f)
	r, err := i.Blob(t.Context(), layer, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || int64(len(rest)) != size-1000 {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}

func TestADownloadThatStaysCutSaysHowFarItCame(t *testing.T) {
	f := &flaky{ranges: true, after: 100_000, patience: 2}
	i, layer, size := flakyImage(t, f)
	content, err := read(t, i, layer)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), fmt.Sprintf("at byte 200000 of %d", size)) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	if want := 1 + ociregistry.Attempts(); len(f.asked()) != want {
		t.Errorf("asked %d times, not %d", len(f.asked()), want)
	}
}

func TestACancelledDownloadEndsAtOnce(t *testing.T) {
	f := &flaky{ranges: true, after: 100_000, patience: -1}
	i, layer, _ := flakyImage(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := i.Blob(ctx, layer, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 50_000); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(f.asked()) != 1 {
		t.Errorf("asked %d times", len(f.asked()))
	}
}

func TestAnOvertaxedRegistryIsAskedAgainAndAStrictOneIsNot(t *testing.T) {
	withoutLogin(t)
	ociregistry.Hurry(t)
	var mu sync.Mutex
	asked, status, times := 0, http.StatusServiceUnavailable, 2
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
				mu.Lock()
				defer mu.Unlock()
				if asked++; asked <= times {
					http.Error(w, `{"errors":[{"code":"OOPS","message":"\u001b[2Jgo away"}]}`, status)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	push(t, host+"/busybox:1", ociimage.BusyboxOptions())
	mu.Lock()
	asked = 0
	mu.Unlock()
	open(t, host+"/busybox:1", "")
	if asked != 3 {
		t.Errorf("asked %d times, not 3", asked)
	}
	for _, c := range []struct {
		status, asked int
		says          string
	}{
		{http.StatusTooManyRequests, 1, "no more downloads"},
		{http.StatusTeapot, 1, `answered 418 I'm a teapot: "\x1b[2Jgo away"`},
		{http.StatusBadGateway, ociregistry.Attempts(), "answered 502"},
	} {
		mu.Lock()
		asked, status, times = 0, c.status, 1000
		mu.Unlock()
		_, err := ociregistry.Open(t.Context(), host+"/busybox:1", "")
		if err == nil || !strings.Contains(err.Error(), c.says) || asked != c.asked {
			t.Errorf("asked %d times, not %d: %v", asked, c.asked, err)
		}
	}
}
