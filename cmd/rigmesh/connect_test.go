package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/p2p"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

const somebody = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"

func TestPrivateWorkIsNotGivenToANodeOfAnOpenNetwork(t *testing.T) {
	for _, private := range []bool{false, true} {
		f := startFakeNode(t)
		f.private = private
		f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{})}
		_, stderr, code := f.rigmesh("run", "--psk", "net.psk", "--bootstrap", somebody, image(t), "prog")
		if private && (code != 0 || f.submission == nil || len(f.joined) != 1) {
			t.Errorf("with a key: exit code %d, %s", code, stderr)
		}
		if private {
			continue
		}
		if code == 0 || !strings.Contains(stderr, "runs without the key of a private network") || !strings.Contains(stderr, "rigmesh down") {
			t.Errorf("without a key: exit code %d, %s", code, stderr)
		}
		if f.submission != nil || f.joined != nil {
			t.Errorf("without a key: submitted %v, joined %v", f.submission, f.joined)
		}
	}
}

func TestPrivateWorkIsNotGivenToANodeOfAnotherPrivateNetwork(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.psk"), filepath.Join(dir, "theirs.psk")
	for path, digit := range map[string]string{ours: "1", theirs: "2"} {
		if err := os.WriteFile(path, []byte(strings.Repeat(digit, 64)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := p2p.ReadPSK(ours)
	if err != nil {
		t.Fatal(err)
	}
	for path, refused := range map[string]string{
		ours:                         "",
		theirs:                       "runs with the key of another private network than " + theirs,
		filepath.Join(dir, "no.psk"): "no such file",
	} {
		f := startFakeNode(t)
		f.private, f.pskTag = true, p2p.PSKTag(key)
		f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{})}
		_, stderr, code := f.rigmesh("run", "--psk", path, image(t), "prog")
		if (code == 0) != (refused == "") || !strings.Contains(stderr, refused) || (f.submission != nil) != (refused == "") {
			t.Errorf("with %s: exit code %d, %s", path, code, stderr)
		}
	}
}
