package witness

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Restore takes up the leases of a journal that are still watched. Call it once.
func (w *Witness) Restore(replay func(func(journal.Record) error) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.forget() // the journal has every lease that was ever watched
	return replay(func(rec journal.Record) error {
		if err := w.recall(rec); err != nil {
			return fmt.Errorf("watched lease %s: %w", rec.Key, err)
		}
		return nil
	})
}

func (w *Witness) recall(rec journal.Record) error {
	switch rec.Kind {
	case KindWatch:
		var m leasev1.Watch
		if err := proto.Unmarshal(rec.Event, &m); err != nil {
			return err
		}
		agreement, err := lease.NewAgreement(m.WorkerTerms, m.RequesterTerms)
		if err != nil {
			return err
		}
		watch, err := attest.Begin(agreement, w.self, rec.At, random())
		if err != nil {
			return err
		}
		w.watches[watch.ID()] = &watched{Watch: watch, terms: &m}
		return nil
	case KindAttest, KindOver:
		id, err := job.ParseLeaseID(rec.Key)
		k := w.watches[statement.Hash(id)]
		if err != nil || k == nil {
			return errors.Join(err, errors.New("a record before its watch"))
		}
		if rec.Kind == KindOver {
			k.over = true
			return nil
		}
		return k.recallAttest(rec, w.self)
	}
	return nil
}

func (k *watched) recallAttest(rec journal.Record, self ed25519.PublicKey) error {
	var s marketv1.Signed
	if len(rec.Statements) != 1 {
		return errors.New("an attestation that is none")
	}
	if err := proto.Unmarshal(rec.Statements[0], &s); err != nil {
		return err
	}
	said, err := statement.Open[*leasev1.Attest](&s, statement.TypeAttest, self)
	if err != nil {
		return err
	}
	k.Watch, k.last = k.Recall(said, random()), &s
	return nil
}
