package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestInputIsNoticedAndNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event0")
	if err := os.WriteFile(path, make([]byte, 72), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	i := &input{now: func() time.Time { return at }, wanted: func() bool { return false }}
	if !i.used().IsZero() {
		t.Error("used before anything happened")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i.read(f)
	if !i.used().Equal(at) {
		t.Errorf("used at %s", i.used())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.run(ctx); err != nil {
		t.Error(err)
	}
}
