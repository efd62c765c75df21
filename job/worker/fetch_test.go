package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// unpacking writes one file, and counts.
type unpacking struct {
	Folders
	times int
	fail  error
}

func (u *unpacking) Unpack(_ context.Context, _ runtime.BlobSource, _, dir string) error {
	u.times++
	if u.fail != nil {
		return u.fail
	}
	return os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600)
}

// What was written before the power went may be there with nothing in it.
func TestInputsOfAnEarlierBootAreUnpackedAnew(t *testing.T) {
	u := &unpacking{}
	n := &tenancy{
		w:    &Worker{Config: Config{Dir: t.TempDir(), Boot: "first", Folders: u}},
		spec: &marketv1.Spec{Inputs: []*marketv1.Input{{}}},
	}
	fetch := func(want int) {
		t.Helper()
		if err := n.fetchInput(t.Context(), nil, 0); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(n.inputDir(0), "file"))
		if u.times != want || string(b) != "content" {
			t.Errorf("unpacked %d times, want %d: %q, %v", u.times, want, b, err)
		}
	}
	fetch(1)
	fetch(1) // a node that was only started again
	if err := os.Truncate(filepath.Join(n.inputDir(0), "file"), 0); err != nil {
		t.Fatal(err)
	}
	n.w.Boot = "second"
	fetch(2)
	n.w.Boot, u.fail = "third", syscall.ENOSPC
	if err := n.fetchInput(t.Context(), nil, 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	u.fail = nil
	fetch(4)
}
