package receipt

import (
	"encoding/hex"
	"fmt"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
)

// Level is which signatures the end of a receipt rests on.
type Level string

// The levels, from the most to the least.
const (
	// LevelBoth: both sides signed the end of the lease and its sum.
	LevelBoth Level = "both"
	// LevelLastAck: both sides signed up to the last ack; there was no close.
	LevelLastAck Level = "last-ack"
	// LevelWorker: the worker alone signed the close. What counts is the last ack.
	LevelWorker Level = "worker"
)

// Summary is what a verified receipt says. CreditMS and Amount are what both
// sides signed.
type Summary struct {
	LeaseID   string    `json:"lease"`     // hex
	Network   string    `json:"network"`   //
	Worker    string    `json:"worker"`    // peer id
	Requester string    `json:"requester"` // peer id
	JobID     string    `json:"job"`       // hex
	Image     string    `json:"image"`     // digest
	Level     Level     `json:"level"`
	Proof     string    `json:"proof"` // the level and what is beyond it, in words
	Ended     string    `json:"ended"` // how, in words
	From      time.Time `json:"from"`  // as the signers' own clocks had it
	To        time.Time `json:"to"`
	GPUs      []string  `json:"gpus"`      // their tags, hex
	Price     uint64    `json:"price"`     // micro-credits per GPU-hour
	CreditMS  uint64    `json:"credit_ms"` // per device
	Amount    uint64    `json:"amount"`    // micro-credits
	Beats     uint64    `json:"beats"`     // co-signed
	Claimed   *Claim    `json:"claimed,omitempty"`
	Exit      *Exit     `json:"exit,omitempty"`
	Outputs   string    `json:"outputs,omitempty"` // SHA-256 of the output manifests, hex
	Measured  *Measured `json:"measured,omitempty"`
	Simulated bool      `json:"simulated"`
	SelfDealt bool      `json:"self_dealt"`
	Witnesses Witnesses `json:"witnesses"`
	Disputed  []string  `json:"disputed,omitempty"` // what the last ack disputes in the evidence, in words
	// Squarings is what each seal takes, and 0 when beats are not sealed. The
	// seals themselves are not attached: see VerifyWhole.
	Squarings uint64 `json:"squarings,omitempty"`
}

// Claim is what the worker alone says beyond what both signed.
type Claim struct {
	CreditMS uint64 `json:"credit_ms"`
	Amount   uint64 `json:"amount"`
}

// Exit is how the task ended.
type Exit struct {
	Code   int32  `json:"code"`
	Signal int32  `json:"signal,omitempty"`
	OOM    bool   `json:"oom,omitempty"`
	Error  string `json:"error,omitempty"`
	Why    string `json:"why,omitempty"` // in a sentence; empty when its program ended by itself
	RanMS  uint64 `json:"ran_ms"`        // from the task's start to its end, frozen or not
}

// Measured is what the worker's machine says of the devices, all together, over
// the whole lease. It is the worker's word.
type Measured struct {
	EnergyMJ    uint64 `json:"energy_mj"` // millijoules
	BusyMS      uint64 `json:"busy_ms"`   // utilization over time
	Driver      string `json:"driver,omitempty"`
	MemoryBytes uint64 `json:"memory_bytes"` // the most in the last interval
	XidErrors   uint64 `json:"xid_errors"`
	ECCErrors   uint64 `json:"ecc_errors"`
}

func (e *checked) summary(p Policy) (Summary, error) {
	worker, err := job.PeerID(e.terms.GetWorker())
	if err != nil {
		return Summary{}, fmt.Errorf("terms: worker: %w", err)
	}
	requester, err := job.PeerID(e.terms.GetRequester())
	if err != nil {
		return Summary{}, fmt.Errorf("terms: requester: %w", err)
	}
	s := Summary{
		LeaseID: hex.EncodeToString(e.id[:]), Network: e.terms.GetNetwork(), JobID: hex.EncodeToString(e.terms.GetJobId()),
		Worker: worker.String(), Requester: requester.String(), Image: e.terms.GetImageDigest(),
		Level: LevelLastAck, Ended: "no close: one side went silent",
		From: moment(e.terms.GetCreatedMs()), Price: e.terms.GetPrice(),
		Simulated: e.terms.GetSimulated(), SelfDealt: e.terms.GetSelfDealt(), Witnesses: e.witnessing(p),
	}
	for _, tag := range e.terms.GetGpuTags() {
		s.GPUs = append(s.GPUs, hex.EncodeToString(tag))
	}
	if e.sealed() {
		s.Squarings = e.terms.GetSealT()
	}
	s.To = s.From
	if e.ack != nil {
		e.addAck(&s)
	}
	if e.close != nil {
		e.addClose(&s)
	}
	s.Measured = measured(e.lastEvidence().GetDevices())
	s.Proof = s.proof()
	return s, nil
}

func (e *checked) addAck(s *Summary) {
	s.CreditMS, s.Amount, s.Beats = e.ack.GetCreditMs(), e.ack.GetAmount(), e.ack.GetSeq()+1
	s.To = moment(e.ack.GetRequesterMs())
	for _, m := range e.ack.GetMismatches() {
		s.Disputed = append(s.Disputed, evidence.Words(m))
	}
}

func (e *checked) addClose(s *Summary) {
	c, x := e.close, e.close.GetExit()
	s.Ended = endings[c.GetReason()]
	s.To = moment(c.GetClosedMs())
	s.Outputs = hex.EncodeToString(c.GetOutputsDigest())
	s.Exit = &Exit{Code: x.GetCode(), Signal: x.GetSignal(), OOM: x.GetOom(), Error: job.CleanText(x.GetError()), Why: job.CauseSentence(x)}
	if x.GetStartedMs() > 0 {
		s.From = moment(x.GetStartedMs())
		s.Exit.RanMS = uint64(max(0, x.GetEndedMs()-x.GetStartedMs()))
	}
	if e.both {
		s.Level, s.CreditMS, s.Amount = LevelBoth, c.GetCreditMs(), c.GetAmount()
		return
	}
	s.Level = LevelWorker
	s.Claimed = &Claim{CreditMS: c.GetCreditMs(), Amount: c.GetAmount()}
}

// lastEvidence is the worker's last word on what it measured.
func (e *checked) lastEvidence() *leasev1.Evidence {
	if last := evidence.Complete(e.close.GetEvidence(), e.beat.GetEvidence()); last.GetDevices() != nil {
		return last
	}
	return e.beat.GetEvidence()
}

// measured is nil when no device was read.
func measured(d *leasev1.DeviceEvidence) *Measured {
	if d == nil {
		return nil
	}
	return &Measured{
		EnergyMJ: d.GetEnergyMj(), BusyMS: d.GetBusyMs(), Driver: job.CleanText(d.GetDriver()), MemoryBytes: d.GetMemoryBytes(),
		XidErrors: d.GetXidErrors(), ECCErrors: d.GetEccErrors(),
	}
}

var endings = map[leasev1.CloseReason]string{
	leasev1.CloseReason_CLOSE_REASON_EXITED:  "the task ended by itself",
	leasev1.CloseReason_CLOSE_REASON_STOPPED: "the requester stopped it",
	leasev1.CloseReason_CLOSE_REASON_YIELDED: "the worker's owner took the machine back",
	leasev1.CloseReason_CLOSE_REASON_TIMEOUT: "its time or money was up",
	leasev1.CloseReason_CLOSE_REASON_FAILED:  "the task could not be run, or was lost",
}

// signed names the levels.
var signed = map[Level]string{
	LevelBoth:    "signed by both",
	LevelLastAck: "signed by both up to the last heartbeat",
	LevelWorker:  "signed by both up to the last heartbeat, the rest by the worker alone",
}

func (s Summary) proof() string {
	text := signed[s.Level]
	if w := s.Witnesses; w.Attested > 0 {
		text += fmt.Sprintf("; witnessed %d of %d", w.Attested, w.Counting)
	}
	return text
}

// lastMS is the end of the year 9999, in Unix time: what is later has no text in RFC 3339.
const lastMS = 253_402_300_799_999

// moment is a time that somebody wrote, who may have written any.
func moment(ms int64) time.Time { return time.UnixMilli(min(ms, lastMS)).UTC() }
