package worker

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// place gives blobs, all the same, and counts how often it is asked.
type place struct {
	asked, closed int
	body          io.Reader
	err           error
}

func (p *place) Blob(context.Context, string, int64) (io.ReadCloser, error) {
	p.asked++
	if p.err != nil {
		return nil, p.err
	}
	return io.NopCloser(p.body), nil
}

func (p *place) Close() error                        { p.closed++; return nil }
func (p *place) Image(string) (RegistryImage, error) { return p, nil }

func text(s string) io.Reader { return strings.NewReader(s) }

func readBlob(t *testing.T, s *sources) (string, error) {
	t.Helper()
	r, err := s.Blob(t.Context(), "sha256:", 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestARegistryIsAskedForPublicImagesOnly(t *testing.T) {
	for public, want := range map[bool]string{true: "registry", false: "requester"} {
		s := openSources(&place{body: text("registry")}, &marketv1.Image{Public: public}, &place{body: text("requester")})
		if got, err := readBlob(t, s); got != want || err != nil {
			t.Errorf("public %v: from %q, %v", public, got, err)
		}
	}
}

func TestARegistryThatFailsOnceIsNotAskedAgain(t *testing.T) {
	for what, registry := range map[string]*place{
		"does not answer": {err: errors.New("unreachable")},
		"breaks off":      {body: iotest.ErrReader(errors.New("cut"))},
	} {
		t.Run(what, func(t *testing.T) {
			requester := &place{body: text("requester")}
			s := openSources(registry, &marketv1.Image{Public: true}, requester)
			if _, err := readBlob(t, s); err != nil {
				_, err = readBlob(t, s) // as a pull does that was cut off
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := readBlob(t, s); err != nil || registry.asked != 1 || registry.closed != 1 || requester.asked != 2 {
				t.Errorf("registry asked %d times, closed %d times, requester asked %d times, %v", registry.asked, registry.closed, requester.asked, err)
			}
		})
	}
}

func TestARegistryIsNotBlamedForATaskThatIsStopped(t *testing.T) {
	s := openSources(&place{err: context.Canceled}, &marketv1.Image{Public: true}, &place{})
	if s.drop(context.Canceled) || s.registry == nil {
		t.Error("dropped")
	}
}

func TestARegistryThatLiedIsDroppedOnce(t *testing.T) {
	s := openSources(&place{}, &marketv1.Image{Public: true}, &place{})
	if wrong := errors.New("wrong digest"); !s.drop(wrong) || s.drop(wrong) {
		t.Error("want it dropped the first time, and then nothing to drop")
	}
}
