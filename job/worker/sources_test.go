package worker

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
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
		s := openSources(&place{body: text("registry")}, nil, &marketv1.Image{Public: public}, &place{body: text("requester")})
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
			s := openSources(registry, nil, &marketv1.Image{Public: true}, requester)
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
	s := openSources(&place{err: context.Canceled}, nil, &marketv1.Image{Public: true}, &place{})
	if s.drop(context.Canceled); s.registry == nil {
		t.Error("dropped")
	}
}

func TestAPullIsTriedAgainAsLongAsOthersThanTheRequesterGave(t *testing.T) {
	requester := &place{body: text("right")}
	s := openSources(&place{body: text("wrong")}, nil, &marketv1.Image{Public: true}, requester)
	if s.again() {
		t.Error("nobody gave anything yet")
	}
	for _, want := range []string{"wrong", "right"} {
		if got, err := readBlob(t, s); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if again := s.again(); again != (want == "wrong") {
			t.Errorf("after %q: another try is worth it: %v", want, again)
		}
	}
}

// swarm has layers, all the same, as long as it has text.
type swarm struct {
	text string
	cut  bool
	seen []string
	good bool
}

func (s *swarm) Image(string) SwarmImage { return s }
func (s *swarm) Share(string, []string)  {}
func (s *swarm) Good()                   { s.good = true }
func (s *swarm) Close() error            { return nil }

func (s *swarm) Layer(_ context.Context, _ string, _, offset int64) (io.ReadCloser, error) {
	if s.text == "" {
		return nil, errors.New("nobody has it")
	}
	r := text(s.text[offset:])
	if s.cut {
		r = io.MultiReader(r, iotest.ErrReader(errors.New("everybody left")))
	}
	return io.NopCloser(r), nil
}

func (s *swarm) Elsewhere(digest string, _, _ int64, body io.ReadCloser) io.ReadCloser {
	s.seen = append(s.seen, digest)
	return body
}

// whole is a source that gives the rest of a text.
type whole string

func (r whole) Blob(_ context.Context, _ string, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(text(string(r[offset:]))), nil
}
func (r whole) Close() error                        { return nil }
func (r whole) Image(string) (RegistryImage, error) { return r, nil }

func TestLayersComeFromPeersFirstAndDocumentsFromTheRegistry(t *testing.T) {
	for what, c := range map[string]struct {
		peers *swarm
		want  string
		seen  int
	}{
		"peers have it":              {&swarm{text: "PEERS"}, "PEERS", 0},
		"no peer has it":             {&swarm{}, "places", 1},
		"the peers leave in between": {&swarm{text: "PEE", cut: true}, "PEEces", 1},
	} {
		var last *leasev1.Layer
		s := openSources(whole("places"), c.peers, &marketv1.Image{Public: true, Digest: "image"}, whole("REQUESTER"))
		if doc, err := readBlob(t, s); doc != "places" || err != nil {
			t.Errorf("%s: a document is %q, %v", what, doc, err)
		}
		s.tell = func(l *leasev1.Layer) { last = l }
		r, err := s.Layer(t.Context(), "layer", 6, 0)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if b, err := io.ReadAll(r); string(b) != c.want || err != nil || len(c.peers.seen) != c.seen {
			t.Errorf("%s: %q, %v, and the peers' side saw %v", what, b, err, c.peers.seen)
		}
		want := leasev1.Origin_ORIGIN_PEERS
		if c.seen > 0 {
			want = leasev1.Origin_ORIGIN_REGISTRY
		}
		if last.GetDigest() != "layer" || int(last.GetDoneBytes()) != len(c.want) || last.GetTotalBytes() != 6 || last.GetOrigin() != want {
			t.Errorf("%s: in the end it is told of %v", what, last)
		}
	}
}

func TestOnlyWhatAnybodyGetsIsShared(t *testing.T) {
	get := func(s *sources, digests ...string) {
		for _, d := range digests {
			if _, err := s.Blob(t.Context(), d, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	public := &marketv1.Image{Public: true, Digest: "image"}
	registry := &place{body: text("x")}
	s := openSources(registry, &swarm{}, public, &place{})
	get(s, "image", "config")
	registry.err = errors.New("away")
	get(s, "layer")
	shared := s.good("image")
	slices.Sort(shared)
	if !slices.Equal(shared, []string{"config", "image"}) {
		t.Errorf("shared are %v: the layer came from the requester", shared)
	}
	for digest, want := range map[string]bool{"config": true, "layer": false, "another": false} {
		if s.Public(digest) != want {
			t.Errorf("%s is public: %v", digest, !want)
		}
	}
	s = openSources(&place{err: errors.New("away")}, &swarm{text: "x"}, public, &place{})
	get(s, "image")
	if _, err := s.Layer(t.Context(), "layer", 1, 0); err != nil {
		t.Fatal(err)
	}
	if shared := s.good("image"); len(shared) > 0 {
		t.Errorf("shared are %v, though no registry gave the image", shared)
	}
}

func TestWhereNamesCountOnlyTheRegistryGivesTheImage(t *testing.T) {
	s := openSources(&place{err: errors.New("no such image")}, nil, &marketv1.Image{Public: true, Digest: "image"}, &place{body: text("x")})
	s.proven = true
	if _, err := s.Blob(t.Context(), "image", 0); !errors.Is(err, runtime.ErrImage) {
		t.Errorf("the requester's word for it is taken: %v", err)
	}
	if _, err := s.Blob(t.Context(), "config", 0); err != nil {
		t.Errorf("what the image itself names may come from anywhere: %v", err)
	}
}
