package job

import (
	"bytes"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// CheckTerms says everything that is wrong with the terms of a lease. Whether
// they are what was bid and wanted is for the two sides to compare.
func CheckTerms(t *leasev1.Terms) error {
	p := newProblems()
	p.version(t.GetVersion())
	p.network(t.GetNetwork())
	p.parties(t)
	p.termsDevices(t)
	p.termsTimes(t)
	p.seal(t)
	p.witnesses(t)
	p.size("spec_digest", t.GetSpecDigest(), HashSize)
	p.digest("image_digest", t.GetImageDigest())
	p.platform(t.GetPlatform())
	return p.err()
}

func (p problems) parties(t *leasev1.Terms) {
	p.size("worker", t.GetWorker(), KeySize)
	p.size("requester", t.GetRequester(), KeySize)
	p.size("worker_nonce", t.GetWorkerNonce(), NonceSize)
	p.size("requester_nonce", t.GetRequesterNonce(), NonceSize)
	p.size("job_id", t.GetJobId(), len(ID{}))
	self := bytes.Equal(t.GetWorker(), t.GetRequester())
	p.want(t.GetSelfDealt() == self, "self_dealt", "want %t: it is so when worker and requester are one", self)
}

func (p problems) termsDevices(t *leasev1.Terms) {
	if n := len(t.GetGpuTags()); n < 1 || n > MaxGPUs {
		p.add("gpu_tags", "want 1 to %d devices, not %d", MaxGPUs, n)
	} else {
		p.distinct("gpu_tags", t.GetGpuTags(), HashSize)
	}
	p.most("price", t.GetPrice(), MaxPrice)
}

func (p problems) termsTimes(t *leasev1.Terms) {
	p.span("interval_ms", t.GetIntervalMs(), MinInterval, MaxInterval)
	p.span("grace_ms", t.GetGraceMs(), 0, MaxInterval)
	p.want(t.GetGraceMs() <= t.GetIntervalMs(), "grace_ms", "want at most interval_ms")
	if first := t.GetFirstIntervalMs(); first != 0 {
		p.span("first_interval_ms", first, MinInterval, MaxInterval)
		p.want(first <= t.GetIntervalMs(), "first_interval_ms", "want at most interval_ms")
	}
	p.want(t.GetMaxUnpaid() >= MinUnpaid && t.GetMaxUnpaid() <= MaxUnpaid, "max_unpaid",
		"want %d to %d intervals, not %d", MinUnpaid, MaxUnpaid, t.GetMaxUnpaid())
	p.span("absent_grace_ms", t.GetAbsentGraceMs(), 0, MaxAbsentGrace)
	p.span("yield_notice_ms", t.GetYieldNoticeMs(), 0, MaxYieldNotice)
	p.want(t.GetAbsentGraceMs() >= t.GetIntervalMs(), "absent_grace_ms", "want at least interval_ms")
	p.span("max_duration_ms", t.GetMaxDurationMs(), MinDuration, MaxDuration)
	if t.GetCreatedMs() <= 0 {
		p.add("created_ms", "want a Unix time in ms, not %d", t.GetCreatedMs())
		return
	}
	p.want(t.GetStartByMs() > t.GetCreatedMs(), "start_by_ms", "want a time after created_ms")
	p.want(t.GetStartByMs()-t.GetCreatedMs() <= MaxStartBy.Milliseconds(), "start_by_ms",
		"want at most %s after created_ms", MaxStartBy.Round(time.Hour))
}

// seal allows suite 0, none, and suite 1 with as many squarings as do not take
// the machine from the task.
func (p problems) seal(t *leasev1.Terms) {
	switch n := t.GetSealT(); t.GetSealSuite() {
	case SealNone:
		p.want(n == 0 && t.GetSealModulus() == 0, "seal_t", "want 0 for squarings and modulus in suite 0")
	case SealWesolowski:
		p.want(t.GetSealModulus() == SealRSA2048, "seal_modulus", "want %d, not %d: other moduli are not known here", SealRSA2048, t.GetSealModulus())
		p.want(n >= MinSealT && n <= MaxSealT, "seal_t", "want %d to %d squarings, not %d", MinSealT, MaxSealT, n)
		p.want(t.GetIntervalMs() <= 0 || n/MaxSealRate <= uint64(t.GetIntervalMs()), "seal_t",
			"want at most %d squarings per millisecond of interval_ms", MaxSealRate)
	default:
		p.add("seal_suite", "want 0 or 1, not %d: other suites are not known here", t.GetSealSuite())
	}
}

func (p problems) witnesses(t *leasev1.Terms) {
	n := len(t.GetWitnesses())
	p.want(n <= MaxWitnesses, "witnesses", "want at most %d, not %d", MaxWitnesses, n)
	p.distinct("witnesses", t.GetWitnesses()[:min(n, MaxWitnesses)], KeySize)
	for _, w := range t.GetWitnesses() {
		if bytes.Equal(w, t.GetWorker()) || bytes.Equal(w, t.GetRequester()) {
			p.add("witnesses", "want neither worker nor requester among them")
			break
		}
	}
	p.want(uint64(t.GetWitnessQuorum()) <= uint64(n), "witness_quorum",
		"want at most the %d witnesses there are, not %d", n, t.GetWitnessQuorum())
}

// distinct checks a list of byte strings of one size, none of them twice.
func (p problems) distinct(field string, list [][]byte, size int) {
	seen := make(map[string]bool, len(list))
	for i, b := range list {
		at := p.in("%s[%d]", field, i)
		at.size("bytes", b, size)
		at.want(!seen[string(b)], "bytes", "want each one once")
		seen[string(b)] = true
	}
}
