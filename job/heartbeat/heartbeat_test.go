package heartbeat_test

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// The tree that the lease carries along is the one that tlog, which keeps every
// hash, computes.
func TestTreeIsTheOneOfRFC6962(t *testing.T) {
	var tree heartbeat.Tree
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for n := range int64(300) {
		head := statement.H("test", []byte{byte(n), byte(n >> 8)})
		hashes, err := tlog.StoredHashes(n, head[:], read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		tree = tree.Append(head)
		want, err := tlog.TreeHash(n+1, read)
		if err != nil || statement.Hash(want) != tree.Root() || tree.Size() != uint64(n+1) {
			t.Fatalf("root over %d heads is %x, not %x (%v)", n+1, tree.Root(), want, err)
		}
	}
}

func TestAppendLeavesTheOlderTreeAsItWas(t *testing.T) {
	var tree heartbeat.Tree
	for n := range byte(7) {
		tree = tree.Append(statement.H("test", []byte{n}))
	}
	root := tree.Root()
	tree.Append(statement.H("test", []byte{100}))
	tree.Append(statement.H("test", []byte{101})).Append(statement.H("test", []byte{102}))
	if tree.Root() != root {
		t.Error("the older tree changed")
	}
}

func TestHeadsDependOnEverySignature(t *testing.T) {
	beat, ack := &marketv1.Signed{Payload: []byte("b"), Signature: []byte("1")}, &marketv1.Signed{Payload: []byte("a"), Signature: []byte("2")}
	head := heartbeat.NextHead(beat, ack)
	for _, change := range []func(b, a *marketv1.Signed){
		func(b, _ *marketv1.Signed) { b.Payload = []byte("x") },
		func(b, _ *marketv1.Signed) { b.Signature = []byte("x") },
		func(_, a *marketv1.Signed) { a.Payload = []byte("x") },
		func(_, a *marketv1.Signed) { a.Signature = []byte("x") },
	} {
		b, a := proto.Clone(beat).(*marketv1.Signed), proto.Clone(ack).(*marketv1.Signed)
		change(b, a)
		if heartbeat.NextHead(b, a) == head {
			t.Error("another beat or ack gives the same head")
		}
	}
	if heartbeat.Head0([]byte("t"), []byte("1"), []byte("2")) == heartbeat.Head0([]byte("t"), []byte("2"), []byte("1")) {
		t.Error("the two sides can be exchanged")
	}
}

func goodBeat(t *testing.T) *leasev1.Beat {
	e := &leasev1.Evidence{TaskId: "t", Running: true}
	h := make([]byte, 32)
	return &leasev1.Beat{Version: 1, LeaseId: h, PrevHead: h, ChallengeHash: h, TreeRoot: h, Evidence: e}
}

func TestBeatsWithBadFieldsAreRefused(t *testing.T) {
	if err := heartbeat.CheckBeat(goodBeat(t), heartbeat.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*leasev1.Beat){
		"short lease id":       func(b *leasev1.Beat) { b.LeaseId = b.LeaseId[1:] },
		"no head":              func(b *leasev1.Beat) { b.PrevHead = nil },
		"no challenge":         func(b *leasev1.Beat) { b.ChallengeHash = nil },
		"no tree":              func(b *leasev1.Beat) { b.TreeRoot = nil },
		"no evidence":          func(b *leasev1.Beat) { b.Evidence = nil },
		"samples, no root":     func(b *leasev1.Beat) { b.Evidence.Samples = 1 },
		"root, no samples":     func(b *leasev1.Beat) { b.Evidence.SamplesRoot = make([]byte, 32) },
		"too much utilization": func(b *leasev1.Beat) { b.Evidence.Devices = &leasev1.DeviceEvidence{UtilizationMax: 101} },
		"mean below min": func(b *leasev1.Beat) {
			b.Evidence.Devices = &leasev1.DeviceEvidence{UtilizationMin: 2, UtilizationMean: 1, UtilizationMax: 3}
		},
		"foreign, no hash":     func(b *leasev1.Beat) { b.Evidence.Devices = &leasev1.DeviceEvidence{Foreign: 1} },
		"long task id":         func(b *leasev1.Beat) { b.Evidence.TaskId = string(bytes.Repeat([]byte("x"), 201)) },
		"seal in suite 0":      func(b *leasev1.Beat) { b.PrevSeal = make([]byte, 32) },
		"witness root":         func(b *leasev1.Beat) { b.WitnessRoot = make([]byte, 32) },
		"flags":                func(b *leasev1.Beat) { b.EvidenceFlags = 1 },
		"more beats than time": func(b *leasev1.Beat) { b.Seq = 1 },
		"negative time":        func(b *leasev1.Beat) { b.WorkerMs = -1 },
	} {
		b := goodBeat(t)
		change(b)
		if err := heartbeat.CheckBeat(b, heartbeat.Options{}); !errors.Is(err, heartbeat.ErrField) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlySealedBeatsAndClosesNameASeal(t *testing.T) {
	h := make([]byte, 32)
	beat, end := goodBeat(t), &leasev1.Close{LeaseId: h, PrevHead: h, TreeRoot: h, Reason: 1, Exit: &leasev1.Exit{}, Beats: 2, LastSeal: h}
	beat.Seq, beat.Interval, beat.PrevSeal = 1, 1, h
	if err := errors.Join(heartbeat.CheckBeat(beat, heartbeat.Options{Sealed: true}), heartbeat.CheckClose(end, heartbeat.Options{Sealed: true})); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		if !errors.Is(err, heartbeat.ErrField) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("prev_seal in suite 0", heartbeat.CheckBeat(beat, heartbeat.Options{}))
	refused("last_seal in suite 0", heartbeat.CheckClose(end, heartbeat.Options{}))
	beat.PrevSeal, end.LastSeal = h[:31], h[:31]
	refused("short prev_seal", heartbeat.CheckBeat(beat, heartbeat.Options{Sealed: true}))
	refused("short last_seal", heartbeat.CheckClose(end, heartbeat.Options{Sealed: true}))
	beat.Seq, beat.PrevSeal, end.Beats, end.LastSeal = 0, h, 0, h
	refused("prev_seal in the first beat", heartbeat.CheckBeat(beat, heartbeat.Options{Sealed: true}))
	refused("last_seal without a beat", heartbeat.CheckClose(end, heartbeat.Options{Sealed: true}))
}

func TestChallengesAcksAndClosesWithBadFieldsAreRefused(t *testing.T) {
	h := make([]byte, 32)
	ack := &marketv1.Signed{Signature: make([]byte, 64)}
	bad := map[string]error{
		"challenge without nonce":          heartbeat.CheckChallenge(&leasev1.Challenge{LeaseId: h, PrevHead: h}),
		"second challenge without ack":     heartbeat.CheckChallenge(&leasev1.Challenge{LeaseId: h, PrevHead: h, Nonce: h, Seq: 1, Interval: 1}),
		"first challenge with ack":         heartbeat.CheckChallenge(&leasev1.Challenge{LeaseId: h, PrevHead: h, Nonce: h, LastAck: ack}),
		"ack without verdict":              heartbeat.CheckAck(&leasev1.Ack{LeaseId: h, BeatHash: h}),
		"ack without beat":                 heartbeat.CheckAck(&leasev1.Ack{LeaseId: h, Verdict: leasev1.Verdict_VERDICT_GOOD}),
		"good, with a mismatch":            heartbeat.CheckAck(&leasev1.Ack{LeaseId: h, BeatHash: h, Verdict: leasev1.Verdict_VERDICT_GOOD, Mismatches: []leasev1.Mismatch{1}}),
		"disputed, without a mismatch":     heartbeat.CheckAck(&leasev1.Ack{LeaseId: h, BeatHash: h, Verdict: leasev1.Verdict_VERDICT_DISPUTED}),
		"one mismatch twice":               heartbeat.CheckAck(&leasev1.Ack{LeaseId: h, BeatHash: h, Verdict: leasev1.Verdict_VERDICT_DISPUTED, Mismatches: []leasev1.Mismatch{1, 1}}),
		"close without exit":               heartbeat.CheckClose(&leasev1.Close{LeaseId: h, PrevHead: h, TreeRoot: h, Reason: 1}, heartbeat.Options{}),
		"close without reason":             heartbeat.CheckClose(&leasev1.Close{LeaseId: h, PrevHead: h, TreeRoot: h, Exit: &leasev1.Exit{}}, heartbeat.Options{}),
		"close with code 256":              heartbeat.CheckClose(&leasev1.Close{LeaseId: h, PrevHead: h, TreeRoot: h, Reason: 1, Exit: &leasev1.Exit{Code: 256}}, heartbeat.Options{}),
		"close with half an output digest": heartbeat.CheckClose(&leasev1.Close{LeaseId: h, PrevHead: h, TreeRoot: h, Reason: 1, Exit: &leasev1.Exit{}, OutputsDigest: h[:16]}, heartbeat.Options{}),
	}
	for name, err := range bad {
		if !errors.Is(err, heartbeat.ErrField) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := []error{
		heartbeat.CheckChallenge(&leasev1.Challenge{LeaseId: h, PrevHead: h, Nonce: h}),
		heartbeat.CheckChallenge(&leasev1.Challenge{LeaseId: h, PrevHead: h, Nonce: h, Seq: 1, Interval: 1, LastAck: ack}),
		heartbeat.CheckAck(&leasev1.Ack{LeaseId: h, BeatHash: h, Verdict: leasev1.Verdict_VERDICT_GOOD}),
		heartbeat.CheckClose(&leasev1.Close{LeaseId: h, PrevHead: h, TreeRoot: h, Reason: 1, Exit: &leasev1.Exit{}}, heartbeat.Options{}),
	}
	for _, err := range good {
		if err != nil {
			t.Error(err)
		}
	}
}
