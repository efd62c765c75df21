package receipt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Audit is what a whole lease says, replayed from its first beat to its end.
type Audit struct {
	Summary
	Seals    Seals    `json:"seals"`
	Samples  Samples  `json:"samples"`
	Devices  []string `json:"devices,omitempty"`  // models, as the worker's signed bid has them
	Gaps     []Gap    `json:"gaps,omitempty"`     // in the heartbeats
	Disputes uint64   `json:"disputes,omitempty"` // beats whose evidence the requester disputed
}

// Samples counts what the evidence of beats and close commits to.
type Samples struct {
	Committed uint64 `json:"committed"`
	Opened    uint64 `json:"opened"` // of these, here, and what the evidence says of them
	Lost      uint64 `json:"lost"`   // of these, empty: the worker lost them itself
}

// Gap is one or more intervals without a co-signed beat.
type Gap struct {
	From      time.Time `json:"from"` // of the acks before and after, by the requester's clock
	To        time.Time `json:"to"`
	Missed    uint64    `json:"missed"`    // intervals
	UnpaidMS  uint64    `json:"unpaid_ms"` // that passed between the acks and were not credited
	Suspended bool      `json:"suspended"` // the task was frozen meanwhile
}

// VerifyWhole checks the file of a whole lease: its receipt, every beat, ack and
// seal behind it, and the samples that were opened against what the beats commit to.
func (p Policy) VerifyWhole(file []byte) (Audit, error) {
	w, err := ParseWhole(file)
	if err != nil {
		return Audit{}, err
	}
	return p.Audit(w)
}

// Audit checks a whole lease that is not in a file. With ErrQuorum the audit is good all the same.
func (p Policy) Audit(w *leasev1.Whole) (Audit, error) {
	e, err := check(w.GetReceipt())
	if err != nil {
		return Audit{}, fmt.Errorf("receipt: %w", err)
	}
	beats, err := e.walk(w.GetReceipt(), w.GetChain().GetLinks())
	if err != nil {
		return Audit{}, err
	}
	a := Audit{}
	if a.Summary, err = e.summary(p); err != nil {
		return Audit{}, err
	}
	if a.Seals, err = e.seals(beats, w.GetChain()); err != nil {
		return Audit{}, err
	}
	if a.Samples, err = e.samples(beats, w.GetOpened()); err != nil {
		return Audit{}, err
	}
	if a.Devices, err = e.models(w); err != nil {
		return Audit{}, fmt.Errorf("bid: %w", err)
	}
	if err := e.checkAttests(beats); err != nil {
		return Audit{}, err
	}
	a.Gaps, a.Disputes = gaps(beats)
	a.Proof += "; " + a.replayed()
	return a, p.demand(a.Witnesses)
}

// replayed names the level of an audit.
func (a Audit) replayed() string {
	switch {
	case a.Squarings == 0:
		return "replayed"
	case a.Seals.Sealed < a.Seals.Named || a.Seals.Named == 0:
		return "replayed without all of its seals"
	}
	return "replayed with seals"
}

// samples holds the samples that were opened against the evidence.
func (e *checked) samples(beats []pair, opened []*leasev1.Opened) (Samples, error) {
	all := make([]*leasev1.Evidence, 0, len(beats)+1)
	for _, b := range beats {
		all = append(all, b.beat.GetEvidence())
	}
	all = append(all, evidence.Complete(e.close.GetEvidence(), e.beat.GetEvidence()))
	var s Samples
	for _, ev := range all {
		s.Committed += ev.GetSamples()
	}
	next := uint64(0)
	for _, o := range opened {
		if o.GetBeat() < next || o.GetBeat() >= uint64(len(all)) {
			return Samples{}, fmt.Errorf("samples of beat %d: not in order, or of no beat: %w", o.GetBeat(), ErrChain)
		}
		next = o.GetBeat() + 1
		if err := evidence.Check(all[o.GetBeat()], o.GetSamples()); err != nil {
			return Samples{}, fmt.Errorf("samples of beat %d: %w", o.GetBeat(), err)
		}
		s.Opened += uint64(len(o.GetSamples()))
		for _, b := range o.GetSamples() {
			if len(b) == 0 {
				s.Lost++
			}
		}
	}
	return s, nil
}

// models reads from the bid that the terms took up which devices were lent.
func (e *checked) models(w *leasev1.Whole) ([]string, error) {
	if w.GetBid() == nil {
		return nil, nil
	}
	v, err := statement.OpenBid(w.GetBid())
	if err != nil {
		return nil, err
	}
	b := v.Message()
	if !bytes.Equal(b.GetWorker(), e.terms.GetWorker()) || !bytes.Equal(b.GetNonce(), e.terms.GetWorkerNonce()) {
		return nil, fmt.Errorf("not the one that the terms took up: %w", ErrChain)
	}
	known := map[string]string{}
	for _, d := range b.GetDevices() {
		known[string(d.GetTag())] = job.CleanText(d.GetModel())
	}
	var models []string
	for _, tag := range e.terms.GetGpuTags() {
		model, ok := known[string(tag)]
		if !ok {
			return nil, fmt.Errorf("it does not offer device %s: %w", hex.EncodeToString(tag), ErrChain)
		}
		models = append(models, model)
	}
	return models, nil
}

// checkAttests compares what the witnesses say with the beats they say it of.
func (e *checked) checkAttests(beats []pair) error {
	for i, v := range e.attests {
		if a := v.Message(); a.GetSeq() < uint64(len(beats)) && a.GetCreditMs() != beats[a.GetSeq()].beat.GetCreditMs() {
			return fmt.Errorf("attestation %d: another credit than beat %d: %w", i, a.GetSeq(), ErrChain)
		}
	}
	return nil
}

// gaps finds the intervals without a beat, and counts the beats that were disputed.
func gaps(beats []pair) (out []Gap, disputes uint64) {
	for i, b := range beats {
		if b.ack.GetVerdict() == leasev1.Verdict_VERDICT_DISPUTED {
			disputes++
		}
		if i == 0 || b.beat.GetInterval() == beats[i-1].beat.GetInterval()+1 {
			continue
		}
		was := beats[i-1]
		passed := max(0, b.ack.GetRequesterMs()-was.ack.GetRequesterMs())
		paid := b.beat.GetCreditMs() - was.beat.GetCreditMs() // it does not fall: see walk
		out = append(out, Gap{
			From: moment(was.ack.GetRequesterMs()), To: moment(b.ack.GetRequesterMs()),
			Missed:    b.beat.GetInterval() - was.beat.GetInterval() - 1,
			UnpaidMS:  uint64(passed) - min(uint64(passed), paid),
			Suspended: b.beat.GetEvidence().GetFreezes() > was.beat.GetEvidence().GetFreezes(),
		})
	}
	return out, disputes
}
