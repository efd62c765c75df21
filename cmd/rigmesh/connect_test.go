package main

import (
	"strings"
	"testing"

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
