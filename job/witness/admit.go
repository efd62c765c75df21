package witness

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// How many leases a witness watches at once, and remembers: keys are free, and two of
// them make as many leases as they like. One that is over counts among the remembered
// for as long as it could have lived, since forgotten it could begin again, and
// each beginning is a record in the journal.
const (
	MaxLeases         = 1000 // living
	MaxWorkerLeases   = 64   // living, of one worker
	maxRemembered     = 4096 // living and over
	maxWorkerRemember = 512  // living and over, of one worker
)

// begin takes a lease up, or again. The caller holds mu.
func (w *Witness) begin(from session.Link, m *leasev1.Watch) (*watched, error) {
	agreement, err := w.open(from, m)
	if err != nil {
		return nil, err
	}
	if known := w.watches[agreement.ID()]; known != nil {
		if known.over {
			return nil, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_ENDED, "the lease has ended")
		}
		known.Watch = known.Heard(w.Now())
		return known, nil
	}
	watch, err := attest.Begin(agreement, w.self, w.Now(), random())
	if err != nil {
		return nil, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_INVALID, "%v", err)
	}
	if err := w.admit(agreement.Terms); err != nil {
		return nil, err
	}
	event, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	id := watch.ID()
	if err := w.append(id, KindWatch, event); err != nil {
		return nil, err
	}
	known := &watched{Watch: watch, terms: m}
	w.watches[id] = known
	return known, nil
}

// open checks the terms of a lease that is to be watched.
func (w *Witness) open(from session.Link, m *leasev1.Watch) (lease.Agreement, error) {
	agreement, err := lease.NewAgreement(m.GetWorkerTerms(), m.GetRequesterTerms())
	if err == nil {
		err = job.CheckTerms(agreement.Terms)
	}
	if err != nil {
		return lease.Agreement{}, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_INVALID, "terms: %v", err)
	}
	if id, err := job.PeerID(agreement.Terms.Worker); err != nil || id != from.Peer() || agreement.Terms.Network != w.Network {
		return lease.Agreement{}, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_INVALID, "the lease is not of this worker, or of another network")
	}
	if attest.Past(agreement.Terms, w.Now()) {
		return lease.Agreement{}, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_INVALID, "the lease is over by its terms")
	}
	return agreement, nil
}

// admit refuses a lease of a device that is under another one, and more than there
// is room for. The caller holds mu.
func (w *Witness) admit(terms *leasev1.Terms) error {
	w.forget()
	for id, other := range w.watches {
		if !other.over && attest.Overlaps(other.Agreement.Terms, terms) {
			return refusal{
				reason: leasev1.WatchRefusal_WATCH_REFUSAL_OVERLAP,
				text:   fmt.Sprintf("a device of this lease is under lease %x already", id[:4]),
				overlap: &leasev1.Overlap{
					WorkerTerms: other.terms.WorkerTerms, RequesterTerms: other.terms.RequesterTerms, Attest: other.last,
				},
			}
		}
	}
	return w.room(terms.Worker)
}

// forget drops what cannot be alive any more. The caller holds mu.
func (w *Witness) forget() {
	now := w.Now()
	for id, k := range w.watches {
		if !k.Alive(now) {
			delete(w.watches, id)
		}
	}
}

// room refuses one more lease than a witness watches or remembers, of the worker or in
// all. The caller holds mu.
func (w *Witness) room(worker []byte) error {
	var living, its, itsLiving int
	for _, k := range w.watches {
		mine := bytes.Equal(k.Agreement.Terms.Worker, worker)
		if mine {
			its++
		}
		if k.over {
			continue
		}
		living++
		if mine {
			itsLiving++
		}
	}
	switch {
	case itsLiving >= MaxWorkerLeases:
		return busy("this witness watches %d leases of this worker already", itsLiving)
	case its >= maxWorkerRemember:
		return busy("this witness watched %d leases of this worker lately", its)
	case living >= MaxLeases:
		return busy("this witness watches %d leases already", living)
	case len(w.watches) >= maxRemembered:
		return busy("this witness watched %d leases lately", len(w.watches))
	}
	return nil
}

func busy(format string, n int) error {
	return refuse(leasev1.WatchRefusal_WATCH_REFUSAL_BUSY, format, n)
}
