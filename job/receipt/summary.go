package receipt

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
)

// Level is how much a receipt rests on.
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
	Level     Level     `json:"level"`
	Ended     string    `json:"ended"` // how, in words
	From      time.Time `json:"from"`  // as the signers' own clocks had it
	To        time.Time `json:"to"`
	GPUs      int       `json:"gpus"`
	Price     uint64    `json:"price"`     // micro-credits per GPU-hour
	CreditMS  uint64    `json:"credit_ms"` // per device
	Amount    uint64    `json:"amount"`    // micro-credits
	Beats     uint64    `json:"beats"`     // co-signed
	Claimed   *Claim    `json:"claimed,omitempty"`
	Exit      *Exit     `json:"exit,omitempty"`
	Outputs   string    `json:"outputs,omitempty"` // SHA-256 of the output manifests, hex
	Simulated bool      `json:"simulated"`
	SelfDealt bool      `json:"self_dealt"`
	Witnesses int       `json:"witnesses"`
	Disputed  bool      `json:"disputed"` // the last ack disputes the evidence
	// Squarings is what each seal takes, and 0 when beats are not sealed. The
	// seals themselves are not attached: see VerifyChain.
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
}

func (e *evidence) summary() (Summary, error) {
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
		Worker: worker.String(), Requester: requester.String(),
		Level: LevelLastAck, Ended: "no close: one side went silent",
		From: moment(e.terms.GetCreatedMs()), GPUs: len(e.terms.GetGpuTags()), Price: e.terms.GetPrice(),
		Simulated: e.terms.GetSimulated(), SelfDealt: e.terms.GetSelfDealt(), Witnesses: len(e.terms.GetWitnesses()),
	}
	if e.sealed() {
		s.Squarings = e.terms.GetSealT()
	}
	s.To = s.From
	if e.ack != nil {
		s.CreditMS, s.Amount, s.Beats = e.ack.GetCreditMs(), e.ack.GetAmount(), e.ack.GetSeq()+1
		s.To = moment(e.ack.GetRequesterMs())
		s.Disputed = e.ack.GetVerdict() == leasev1.Verdict_VERDICT_DISPUTED
	}
	if e.close != nil {
		e.addClose(&s)
	}
	return s, nil
}

func (e *evidence) addClose(s *Summary) {
	c, x := e.close, e.close.GetExit()
	s.Ended = endings[c.GetReason()]
	s.To = moment(c.GetClosedMs())
	s.Outputs = hex.EncodeToString(c.GetOutputsDigest())
	s.Exit = &Exit{Code: x.GetCode(), Signal: x.GetSignal(), OOM: x.GetOom(), Error: job.CleanText(x.GetError())}
	if x.GetStartedMs() > 0 {
		s.From = moment(x.GetStartedMs())
	}
	if e.both {
		s.Level, s.CreditMS, s.Amount = LevelBoth, c.GetCreditMs(), c.GetAmount()
		return
	}
	s.Level = LevelWorker
	s.Claimed = &Claim{CreditMS: c.GetCreditMs(), Amount: c.GetAmount()}
}

var endings = map[leasev1.CloseReason]string{
	leasev1.CloseReason_CLOSE_REASON_EXITED:  "the task ended by itself",
	leasev1.CloseReason_CLOSE_REASON_STOPPED: "the requester stopped it",
	leasev1.CloseReason_CLOSE_REASON_YIELDED: "the worker's owner took the machine back",
	leasev1.CloseReason_CLOSE_REASON_TIMEOUT: "its time or money was up",
	leasev1.CloseReason_CLOSE_REASON_FAILED:  "the task could not be run",
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// levels says in a sentence what a level means.
var levels = map[Level]string{
	LevelBoth:    "Signed by both sides, to the end.",
	LevelLastAck: "Signed by both sides up to the last heartbeat. There is no closing statement.",
	LevelWorker:  "The end is signed by the worker alone: only time up to the last heartbeat counts.",
}

// Text writes the summary for people, one fact a line.
func (s Summary) Text(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("lease", "%s", s.LeaseID)
	line("worker", "%s", s.Worker)
	line("requester", "%s", s.Requester)
	line("from", "%s", s.From.Format(time.RFC3339))
	line("to", "%s", s.To.Format(time.RFC3339))
	line("paid time", "%s on %s, %d heartbeats", span(s.CreditMS), devices(s.GPUs), s.Beats)
	line("amount", "%s credits, at %s per GPU-hour", job.FormatPrice(s.Amount), job.FormatPrice(s.Price))
	line("ended", "%s", s.Ended)
	if s.Exit != nil {
		line("exit", "%s", s.Exit)
	}
	line("signed", "%s", levels[s.Level])
	if c := s.Claimed; c != nil {
		line("claimed", "%s credits for %s, by the worker alone", job.FormatPrice(c.Amount), span(c.CreditMS))
	}
	for _, note := range s.notes() {
		line("note", "%s", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// notes are what a reader must not miss.
func (s Summary) notes() []string {
	var notes []string
	if s.Simulated {
		notes = append(notes, "Simulated: no real GPU was lent.")
	}
	if s.SelfDealt {
		notes = append(notes, "Self-dealt: worker and requester are one node. This proves nothing to anyone else.")
	}
	if s.Disputed {
		notes = append(notes, "The requester disputes the worker's evidence.")
	}
	if s.Squarings > 0 {
		notes = append(notes, fmt.Sprintf("Seals of %d squarings a heartbeat are agreed on. They are not attached, and not checked here.", s.Squarings))
	}
	return append(notes, "Times are the signers' own; no witness confirms them, nor that a GPU did the work.")
}

// String is the exit in a few words.
func (e *Exit) String() string {
	switch {
	case e.Error != "":
		return fmt.Sprintf("%d (%s)", e.Code, e.Error)
	case e.OOM:
		return fmt.Sprintf("%d (out of memory)", e.Code)
	case e.Signal != 0:
		return fmt.Sprintf("%d (signal %d)", e.Code, e.Signal)
	}
	return fmt.Sprint(e.Code)
}

func span(ms uint64) string {
	if ms > 1<<52 {
		return fmt.Sprintf("%d ms", ms)
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

func devices(n int) string {
	if n == 1 {
		return "1 GPU"
	}
	return fmt.Sprintf("%d GPUs", n)
}
