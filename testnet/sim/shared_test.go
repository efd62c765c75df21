package sim

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const largeMiB = 12

// dataset is a folder of a small file and a large one.
func dataset(t *testing.T) (dir string, large []byte) {
	t.Helper()
	dir, large = t.TempDir(), make([]byte, largeMiB<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(large)
	for name, content := range map[string][]byte{"small": []byte("a small file"), "large": large} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, large
}

// share has a machine share a folder, and gives its digest.
func share(t *testing.T, m *Machine, dir string) string {
	t.Helper()
	packed, err := tree.PackDir(t.Context(), dir, tree.ToStore(m.Store()), tree.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Sharing().Share(&controlv1.ShareRequest{Manifest: packed.Manifest, Name: "data"}); err != nil {
		t.Fatal(err)
	}
	return packed.Manifest
}

// ofShared is a submission whose task copies the small file of a shared folder to its output.
func ofShared(t *testing.T, m *Machine, digest string) *leasev1.Submission {
	t.Helper()
	found, err := m.Sharing().FindShared(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	sub := submission(t, m, "copy /in/small /out/copied")
	sub.IntervalMs = 20_000
	sub.Spec.Inputs = []*marketv1.Input{{Manifest: digest, Path: "/in", Shared: true, ReadOnly: true, TotalBytes: found.TotalBytes}}
	sub.Spec.Outputs = []string{"/out"}
	return sub
}

// came checks that the small file of the dataset went through a task.
func came(t *testing.T, m *Machine, end *leasev1.JobEnded) {
	t.Helper()
	if len(end.Outputs) != 1 {
		t.Fatalf("outputs %v", end.Outputs)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := tree.Unpack(t.Context(), m.Store(), end.Outputs[0].Manifest, dir, tree.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "copied")); err != nil || string(b) != "a small file" {
		t.Errorf("the output is %q, %v", b, err)
	}
}

// underWay waits until a machine has a part of a blob.
func underWay(t *testing.T, m *Machine, digest string) {
	t.Helper()
	for range 1000 {
		all, err := m.Store().List()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			if k.Digest == digest && k.Size > 1<<20 {
				if m.Store().Has(digest) {
					t.Fatal("all of it came at once")
				}
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("it never came")
}

func TestAWorkerHasAnInputFromWhoeverSharesItAndTheRequesterNeverHasIt(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price}, Setting{}, Setting{})
		settle()
		dir, large := dataset(t)
		digest := share(t, m[2], dir)
		share(t, m[3], dir)
		settle()
		_, events := finish(t, m[0], ofShared(t, m[0], digest))
		came(t, m[0], exited(t, events, 0))
		if m[0].Store().Has(blob.Digest(large)) {
			t.Error("the requester has the large file")
		}
		if !m[1].Store().Has(blob.Digest(large)) {
			t.Error("the worker does not keep the large file for the next job")
		}
		if strangersGet(t, m[0], m[1], []string{blob.Digest(large)}) {
			t.Error("the worker gives away what others share")
		}
		if !strangersGet(t, m[0], m[2], []string{digest, blob.Digest(large)}) {
			t.Error("who shares it does not give it")
		}
		if _, err := m[2].Sharing().Unshare(digest); err != nil {
			t.Fatal(err)
		}
		if strangersGet(t, m[0], m[2], []string{digest, blob.Digest(large)}) {
			t.Error("what was taken back is still given")
		}
	})
}

// TestWhoSharesMayLeaveInTheMiddle has the one of two that share something stop while a worker
// fetches it.
func TestWhoSharesMayLeaveInTheMiddle(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price}, Setting{}, Setting{})
		settle()
		dir, large := dataset(t)
		digest := share(t, m[2], dir)
		share(t, m[3], dir)
		settle()
		id := submit(t, m[0], ofShared(t, m[0], digest), 0)
		underWay(t, m[1], blob.Digest(large))
		m[2].Stop()
		came(t, m[0], exited(t, follow(t, m[0], id), 0))
	})
}

func TestAJobWhoseInputNobodySharesAnyMoreEndsAndSaysSo(t *testing.T) {
	for what, c := range map[string]struct {
		owner func(*config.Config)
		gone  bool // who shares it leaves before the job begins
		claim uint64
		want  string
	}{
		"whoever shared it left":               {nil, true, 0, "nobody that can be reached shares all of"},
		"it is larger than the requester says": {nil, false, 1000, "exceeds the limits"},
		"an owner who fetches nothing":         {func(c *config.Config) { c.FetchInputs = false }, false, 0, "has it ask nobody but the requester"},
	} {
		t.Run(what, func(t *testing.T) {
			p2ptest.Bubble(t, func(t *testing.T) {
				m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price, Owner: c.owner}, Setting{})
				settle()
				dir, _ := dataset(t)
				digest := share(t, m[2], dir)
				settle()
				sub := ofShared(t, m[0], digest)
				if c.gone {
					m[2].Stop()
				}
				if c.claim > 0 {
					sub.Spec.Inputs[0].TotalBytes = c.claim
				}
				_, events := finish(t, m[0], sub)
				end := ended(t, events)
				if end.Exit.GetCode() != 125 || !strings.Contains(end.Exit.GetError(), c.want) {
					t.Errorf("the job ended with %v; want %q", end, c.want)
				}
			})
		})
	}
}

// TestARequesterThatHasASharedInputGivesItItself has a worker whose owner wants nothing fetched
// from strangers.
func TestARequesterThatHasASharedInputGivesItItself(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price, Owner: func(c *config.Config) { c.FetchInputs = false }})
		settle()
		dir, _ := dataset(t)
		_, events := finish(t, m[0], ofShared(t, m[0], share(t, m[0], dir)))
		came(t, m[0], exited(t, events, 0))
	})
}

func TestNobodyFindsWhatNobodySharesAndNobodySharesWhatIsNotThere(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{})
		settle()
		digest, err := m[1].Store().PutBytes(t.Context(), nil) // an empty folder, and not shared
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m[0].Sharing().FindShared(t.Context(), digest); err == nil || !strings.Contains(err.Error(), "nobody that can be reached shares it") {
			t.Errorf("what nobody shares: %v", err)
		}
		if _, err := m[0].Sharing().Share(&controlv1.ShareRequest{Manifest: digest}); err == nil {
			t.Error("a node shares what it does not have")
		}
		if err := m[1].Store().Put(t.Context(), blob.Digest([]byte{0xff}), bytes.NewReader([]byte{0xff})); err != nil {
			t.Fatal(err)
		}
		if _, err := m[1].Sharing().Share(&controlv1.ShareRequest{Manifest: blob.Digest([]byte{0xff})}); err == nil {
			t.Error("a node shares what is no folder")
		}
	})
}

// TestABoundOnUploadsHoldsNoHeartbeatUp has a requester give an input a hundred times slower
// than its line is.
func TestABoundOnUploadsHoldsNoHeartbeatUp(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		const perSecond = 128 << 10
		m := Network(t, Setting{Owner: func(c *config.Config) { c.Reach.UploadMax = perSecond }}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		dir, large := dataset(t)
		packed, err := tree.PackDir(t.Context(), dir, tree.ToStore(m[0].Store()), tree.PackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sub := submission(t, m[0], "copy /in/small /out/copied")
		sub.Spec.Inputs = []*marketv1.Input{{Manifest: packed.Manifest, Path: "/in", ReadOnly: true, TotalBytes: packed.Bytes}}
		sub.Spec.Outputs = []string{"/out"}
		began := time.Now()
		_, events := finish(t, m[0], sub)
		came(t, m[0], exited(t, events, 0))
		least := len(large) / perSecond // seconds, and so heartbeats
		if took := time.Since(began); took < time.Duration(least-1)*time.Second {
			t.Errorf("it came in %s, want at least %d s", took, least)
		}
		if n := beats(events); n < least-5 || len(troubles(events)) > 0 {
			t.Errorf("%d heartbeats in %d s, and troubles %v", n, least, troubles(events))
		}
		if st := m[0].Status(t.Context()); st.UploadedBytes < uint64(len(large)) || st.UploadMax != perSecond {
			t.Errorf("%d bytes were counted", st.UploadedBytes)
		}
	})
}
