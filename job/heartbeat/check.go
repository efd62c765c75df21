package heartbeat

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// ErrField is what every refusal of the Check functions wraps.
var ErrField = errors.New("field out of bounds")

// MaxText is the longest text in evidence or an exit, in bytes.
const MaxText = 200

// CheckChallenge says what is wrong with the fields of a challenge, all of it
// at once.
func CheckChallenge(c *leasev1.Challenge) error {
	return errors.Join(
		hash("lease_id", c.GetLeaseId()),
		hash("prev_head", c.GetPrevHead()),
		hash("nonce", c.GetNonce()),
		wrong(c.GetSeq() > 0 && c.GetLastAck() == nil, "last_ack is missing"),
		wrong(c.GetSeq() == 0 && c.GetLastAck() != nil, "last_ack before the first beat"),
		wrong(c.GetLastAck() != nil && len(c.GetLastAck().GetSignature()) != ed25519.SignatureSize, "last_ack is not signed"),
		wrong(c.GetInterval() < c.GetSeq(), "more beats than intervals"),
	)
}

// CheckBeat says what is wrong with the fields of a beat, all of it at once.
// Sealed says whether the terms name a seal: only then may one be named. There
// are no witnesses yet: their field must be empty.
func CheckBeat(b *leasev1.Beat, sealed bool) error {
	return errors.Join(
		hash("lease_id", b.GetLeaseId()),
		hash("prev_head", b.GetPrevHead()),
		hash("challenge_hash", b.GetChallengeHash()),
		hash("tree_root", b.GetTreeRoot()),
		wrong(len(b.GetWitnessRoot()) != 0, "witness_root without witnesses"),
		sealHash("prev_seal", b.GetPrevSeal(), sealed),
		wrong(len(b.GetPrevSeal()) != 0 && b.GetSeq() == 0, "prev_seal in the first beat"),
		wrong(b.GetEvidenceFlags() != 0, "evidence_flags has unknown bits"),
		wrong(b.GetInterval() < b.GetSeq(), "more beats than intervals"),
		wrong(b.GetWorkerMs() < 0, "worker_ms is negative"),
		checkRoot(b),
	)
}

func checkRoot(b *leasev1.Beat) error {
	if b.GetEvidence() == nil {
		return wrong(true, "evidence is missing")
	}
	root, err := EvidenceRoot(b.GetEvidence())
	return errors.Join(err, checkEvidence(b.GetEvidence()),
		wrong(string(root[:]) != string(b.GetEvidenceRoot()), "evidence_root is not that of the evidence"))
}

func checkEvidence(e *leasev1.Evidence) error {
	return errors.Join(text("task_id", e.GetTaskId()), text("image_digest", e.GetImageDigest()))
}

// CheckAck says what is wrong with the fields of an ack, all of it at once.
func CheckAck(a *leasev1.Ack) error {
	return errors.Join(
		hash("lease_id", a.GetLeaseId()),
		hash("beat_hash", a.GetBeatHash()),
		wrong(a.GetVerdict() == leasev1.Verdict_VERDICT_UNSPECIFIED, "verdict is missing"),
		wrong(len(a.GetEvidenceRoot()) != 0, "evidence_root without evidence of the requester"),
		wrong(a.GetInterval() < a.GetSeq(), "more beats than intervals"),
		wrong(a.GetRequesterMs() < 0, "requester_ms is negative"),
	)
}

// CheckClose says what is wrong with the fields of a close, all of it at once.
// Sealed is as in CheckBeat.
func CheckClose(c *leasev1.Close, sealed bool) error {
	return errors.Join(
		hash("lease_id", c.GetLeaseId()),
		hash("prev_head", c.GetPrevHead()),
		hash("tree_root", c.GetTreeRoot()),
		wrong(len(c.GetOutputsDigest()) != 0 && len(c.GetOutputsDigest()) != sha256.Size, "outputs_digest is not a SHA-256 value"),
		sealHash("last_seal", c.GetLastSeal(), sealed),
		wrong(len(c.GetLastSeal()) != 0 && c.GetBeats() == 0, "last_seal without a beat"),
		wrong(c.GetReason() == leasev1.CloseReason_CLOSE_REASON_UNSPECIFIED, "reason is missing"),
		wrong(c.GetClosedMs() < 0, "closed_ms is negative"),
		checkEvidence(c.GetEvidence()),
		checkExit(c.GetExit()),
	)
}

func checkExit(e *leasev1.Exit) error {
	if e == nil {
		return wrong(true, "exit is missing")
	}
	return errors.Join(
		wrong(e.GetCode() < 0 || e.GetCode() > 255, "exit code is not within 0 to 255"),
		wrong(e.GetSignal() < 0 || e.GetSignal() > 64, "exit signal is not within 0 to 64"),
		wrong(e.GetStartedMs() < 0 || e.GetEndedMs() < 0, "exit time is negative"),
		text("exit error", e.GetError()),
	)
}

func hash(field string, b []byte) error {
	return wrong(len(b) != len(statement.Hash{}), field+" is not 32 bytes")
}

// sealHash allows none at all: a seal that was not ready in time is never waited for.
func sealHash(field string, b []byte, sealed bool) error {
	if len(b) == 0 {
		return nil
	}
	return errors.Join(wrong(!sealed, field+" in suite 0"), hash(field, b))
}

func text(field, s string) error {
	return wrong(len(s) > MaxText || !utf8.ValidString(s), field+" is too long")
}

func wrong(is bool, what string) error {
	if !is {
		return nil
	}
	return fmt.Errorf("%s: %w", what, ErrField)
}
