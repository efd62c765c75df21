package heartbeat

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

// ErrField is what every refusal of the Check functions wraps.
var ErrField = errors.New("field out of bounds")

// Options are what the terms agree on beyond the plain chain.
type Options struct {
	Sealed    bool // beats are sealed
	Witnessed bool // witnesses may have nonces in beats
}

// OptionsOf reads them from the terms.
func OptionsOf(t *leasev1.Terms) Options {
	return Options{Sealed: t.GetSealSuite() != job.SealNone, Witnessed: len(t.GetWitnesses()) > 0}
}

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
// A seal and nonces of witnesses may only be named where the terms name them.
func CheckBeat(b *leasev1.Beat, o Options) error {
	return errors.Join(
		hash("lease_id", b.GetLeaseId()),
		hash("prev_head", b.GetPrevHead()),
		hash("challenge_hash", b.GetChallengeHash()),
		hash("tree_root", b.GetTreeRoot()),
		optional("witness_root", b.GetWitnessRoot(), o.Witnessed, "without witnesses"),
		optional("prev_seal", b.GetPrevSeal(), o.Sealed, "in suite 0"),
		wrong(len(b.GetPrevSeal()) != 0 && b.GetSeq() == 0, "prev_seal in the first beat"),
		wrong(b.GetEvidenceFlags() != 0, "evidence_flags has unknown bits"),
		wrong(b.GetInterval() < b.GetSeq(), "more beats than intervals"),
		wrong(b.GetWorkerMs() < 0, "worker_ms is negative"),
		wrong(b.GetEvidence() == nil, "evidence is missing"),
		checkEvidence(b.GetEvidence()),
	)
}

func checkEvidence(e *leasev1.Evidence) error {
	return errors.Join(text("task_id", e.GetTaskId()), text("image_digest", e.GetImageDigest()),
		optional("samples_root", e.GetSamplesRoot(), e.GetSamples() > 0, "without samples"),
		wrong(e.GetSamples() > 0 && len(e.GetSamplesRoot()) == 0, "samples_root is missing"),
		wrong(e.GetFirstSample() > maxSamples || e.GetSamples() > maxSamples, "more samples than there are seconds"),
		checkDevices(e.GetDevices()))
}

// maxSamples is far above what the longest lease has.
const maxSamples = 1 << 40

func checkDevices(d *leasev1.DeviceEvidence) error {
	if d == nil {
		return nil
	}
	return errors.Join(
		optional("devices_hash", d.GetDevicesHash(), true, ""),
		text("driver", d.GetDriver()),
		wrong(d.GetUtilizationMin() > d.GetUtilizationMean() || d.GetUtilizationMean() > d.GetUtilizationMax() || d.GetUtilizationMax() > 100,
			"utilization is not min, mean, max within 0 to 100"),
		optional("foreign_hash", d.GetForeignHash(), d.GetForeign() > 0, "without foreign processes"),
		wrong(d.GetForeign() > 0 && len(d.GetForeignHash()) == 0, "foreign_hash is missing"),
	)
}

// CheckAck says what is wrong with the fields of an ack, all of it at once.
func CheckAck(a *leasev1.Ack) error {
	return errors.Join(
		hash("lease_id", a.GetLeaseId()),
		hash("beat_hash", a.GetBeatHash()),
		wrong(a.GetVerdict() == leasev1.Verdict_VERDICT_UNSPECIFIED, "verdict is missing"),
		checkVerdict(a),
		wrong(a.GetInterval() < a.GetSeq(), "more beats than intervals"),
		wrong(a.GetRequesterMs() < 0, "requester_ms is negative"),
	)
}

func checkVerdict(a *leasev1.Ack) error {
	m := a.GetMismatches()
	ascending := !slices.Contains(m, leasev1.Mismatch_MISMATCH_UNSPECIFIED)
	for i := 1; i < len(m); i++ {
		ascending = ascending && m[i-1] < m[i]
	}
	return errors.Join(wrong(!ascending, "mismatches are not in ascending order"),
		wrong((a.GetVerdict() == leasev1.Verdict_VERDICT_DISPUTED) != (len(m) > 0), "the verdict is not what the mismatches say"))
}

// CheckClose says what is wrong with the fields of a close, all of it at once.
func CheckClose(c *leasev1.Close, o Options) error {
	return errors.Join(
		hash("lease_id", c.GetLeaseId()),
		hash("prev_head", c.GetPrevHead()),
		hash("tree_root", c.GetTreeRoot()),
		wrong(len(c.GetOutputsDigest()) != 0 && len(c.GetOutputsDigest()) != sha256.Size, "outputs_digest is not a SHA-256 value"),
		optional("last_seal", c.GetLastSeal(), o.Sealed, "in suite 0"),
		wrong(len(c.GetLastSeal()) != 0 && c.GetBeats() == 0, "last_seal without a beat"),
		wrong(c.GetReason() == leasev1.CloseReason_CLOSE_REASON_UNSPECIFIED, "reason is missing"),
		wrong(c.GetClosedMs() < 0, "closed_ms is negative"),
		checkEvidence(c.GetEvidence()),
		checkExit(c.GetExit()),
	)
}

// CheckAttest says what is wrong with the fields of an attestation, all of it at once.
func CheckAttest(a *leasev1.Attest) error {
	first := a.GetAttested() == 0
	return errors.Join(
		hash("lease_id", a.GetLeaseId()),
		hash("head", a.GetHead()),
		hash("tree_root", a.GetTreeRoot()),
		wrong(first != (len(a.GetPrevious()) == 0), "previous is not there exactly when others came before"),
		optional("previous", a.GetPrevious(), true, ""),
		wrong(a.GetFirstMs() < 0 || a.GetAskedMs() < a.GetFirstMs() || a.GetAttestedMs() < a.GetAskedMs(), "first_ms, asked_ms and attested_ms are not in order"),
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

// optional is a hash that may always be left out, and must be without its reason.
func optional(field string, b []byte, allowed bool, why string) error {
	if len(b) == 0 {
		return nil
	}
	return errors.Join(wrong(!allowed, field+" "+why), hash(field, b))
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
