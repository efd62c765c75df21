package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/blob"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func (f *fakeNode) Share(req *controlv1.ShareRequest) (*controlv1.Share, error) {
	if !f.Has(req.Manifest) {
		return nil, fmt.Errorf("%s: %w", req.Manifest, control.ErrMissing)
	}
	s := &controlv1.Share{Manifest: req.Manifest, Name: req.Name, TotalBytes: 5}
	if req.ForMs > 0 {
		s.UntilMs = 1_700_000_000_000 + req.ForMs
	}
	f.shared = append(f.shared, s)
	return s, nil
}

func (f *fakeNode) Unshare(beginning string) (*controlv1.Share, error) {
	for i, s := range f.shared {
		if strings.HasPrefix(s.Manifest, beginning) {
			f.shared = slices.Delete(f.shared, i, i+1)
			return s, nil
		}
	}
	return nil, fmt.Errorf("%q: %w", beginning, control.ErrNotFound)
}

func (f *fakeNode) Shares() []*controlv1.Share { return f.shared }

func (f *fakeNode) FindShared(_ context.Context, digest string) (*controlv1.FindSharedResponse, error) {
	if f.found == nil {
		return nil, fmt.Errorf("%s: %w: nobody that can be reached shares it", digest, control.ErrNotFound)
	}
	return f.found, nil
}

func TestAFolderIsSharedListedAndTakenBack(t *testing.T) {
	f := startFakeNode(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs, code := f.rigmesh("share", "--for", "48h", dir)
	digest := strings.TrimSpace(out)
	if code != 0 || blob.Check(digest) != nil || !f.Has(digest) || !f.Has(blob.Digest([]byte("hello"))) {
		t.Fatalf("share: %d, %q, %q; the node has the manifest: %v", code, out, errs, f.Has(digest))
	}
	if out, _, _ := f.rigmesh("shares"); !strings.Contains(out, digest) || !strings.Contains(out, dir) {
		t.Errorf("shares:\n%s", out)
	}
	out, _, _ = f.rigmesh("shares", "--json")
	var views []shareView
	if err := json.Unmarshal([]byte(out), &views); err != nil || len(views) != 1 || views[0].Until == "" || views[0].Digest != digest {
		t.Errorf("shares --json: %v\n%s", err, out)
	}
	if out, _, code := f.rigmesh("unshare", digest[:12]); code != 0 || !strings.Contains(out, "shared no longer") {
		t.Errorf("unshare: %d, %s", code, out)
	}
	if _, errs, code := f.rigmesh("unshare", digest[:12]); code != 1 || !strings.Contains(errs, "rigmesh shares lists") {
		t.Errorf("unshare once more: %d, %s", code, errs)
	}
}

func TestAnOutputOfAnEarlierJobIsShared(t *testing.T) {
	f := startFakeNode(t)
	digest, err := f.PutBytes(t.Context(), nil) // an empty folder
	if err != nil {
		t.Fatal(err)
	}
	f.events = []*leasev1.JobEvent{{Event: &leasev1.JobEvent_Ended{Ended: &leasev1.JobEnded{Outputs: []*leasev1.Output{
		{Path: "/out", Manifest: digest}, {Path: "/gone", Manifest: blob.Digest([]byte("gone"))},
	}}}}}
	if out, errs, code := f.rigmesh("share", fakeJob[:4]+":/out"); code != 0 || strings.TrimSpace(out) != digest {
		t.Errorf("share of an output: %d, %q, %s", code, out, errs)
	}
	for path, want := range map[string]string{"/gone": "no longer here in full", "/none": "left no output /none"} {
		if _, errs, code := f.rigmesh("share", fakeJob[:4]+":"+path); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("share of %s: %d, %s", path, code, errs)
		}
	}
}

func TestAnInputThatOthersShareIsNamedByItsDigestAlone(t *testing.T) {
	f := startFakeNode(t)
	if err := writeArchive(filepath.Join(f.dir, "image.tar")); err != nil {
		t.Fatal(err)
	}
	digest := blob.Digest([]byte("a manifest"))
	run := func() (string, int) {
		_, errs, code := f.rigmesh("run", "-d", "-v", digest+":/models/m", "oci-archive:"+filepath.Join(f.dir, "image.tar"))
		return errs, code
	}
	if errs, code := run(); code != exitOurs || !strings.Contains(errs, "nobody that can be reached shares it") || !strings.Contains(errs, "rigmesh share prints") {
		t.Errorf("what nobody shares: %d, %s", code, errs)
	}
	f.found = &controlv1.FindSharedResponse{TotalBytes: 1 << 30, File: true}
	if errs, code := run(); code != 0 {
		t.Fatalf("%d, %s", code, errs)
	}
	in := f.submission.Spec.Inputs[0]
	if !in.Shared || !in.File || in.ReadOnly || in.TotalBytes != 1<<30 || in.Manifest != digest || f.Has(digest) {
		t.Errorf("submitted %v", in)
	}
}
