package lease

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// MarshalEvent gives the bytes that the journal keeps of an event.
func MarshalEvent(ev Event) ([]byte, error) {
	e, err := journalled(ev)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(e)
}

func journalled(ev Event) (*leasev1.JournalEvent, error) {
	switch ev := ev.(type) {
	case Tick:
		e := &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_TICK}
		if ev.Random != ([RandomSize]byte{}) {
			e.Random = ev.Random[:]
		}
		return e, nil
	case StopAsked:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_STOP_ASKED, GraceMs: ev.Grace.Milliseconds()}, nil
	case ResyncReceived:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_RESYNC_RECEIVED, Resync: looked(ev.Resync)}, nil
	case Challenged:
		e := verified(leasev1.JournalKind_JOURNAL_KIND_CHALLENGED, ev.Challenge)
		e.Evidence = ev.Evidence
		return e, nil
	case Acked:
		return verified(leasev1.JournalKind_JOURNAL_KIND_ACKED, ev.Ack), nil
	case TaskRunning:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_TASK_RUNNING}, nil
	case TaskEnded:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_TASK_ENDED, Exit: ev.Exit}, nil
	case TaskExited:
		return &leasev1.JournalEvent{
			Kind: leasev1.JournalKind_JOURNAL_KIND_TASK_EXITED,
			Exit: ev.Exit, OutputsDigest: ev.OutputsDigest, Evidence: ev.Evidence,
		}, nil
	case TaskFailed:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_TASK_FAILED, Exit: ev.Exit}, nil
	case CloseSigned:
		return verified(leasev1.JournalKind_JOURNAL_KIND_CLOSE_SIGNED, ev.Close), nil
	case SealReady:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_SEAL_READY, Seal: ev.Seal}, nil
	case SealReceived:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_SEAL_RECEIVED, Seal: ev.seal}, nil
	case Yield:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_YIELD, GraceMs: ev.Grace.Milliseconds()}, nil
	case Slept:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_SLEPT, AsleepMs: ev.Total.Milliseconds()}, nil
	case Hold:
		e := &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_HELD}
		if !ev.On {
			e.Kind = leasev1.JournalKind_JOURNAL_KIND_LET_GO
		}
		return e, nil
	case BeatReceived:
		e := verified(leasev1.JournalKind_JOURNAL_KIND_BEAT_RECEIVED, ev.Beat)
		e.Observed = ev.Observed
		return e, nil
	case CloseReceived:
		return verified(leasev1.JournalKind_JOURNAL_KIND_CLOSE_RECEIVED, ev.Close), nil
	case NonceReceived:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_NONCE_RECEIVED, Witness: ev.Witness, Nonce: ev.Nonce[:]}, nil
	case Attested:
		return verified(leasev1.JournalKind_JOURNAL_KIND_ATTESTED, ev.attest), nil
	case Abandon:
		return &leasev1.JournalEvent{Kind: leasev1.JournalKind_JOURNAL_KIND_ABANDON}, nil
	}
	return nil, fmt.Errorf("marshal event %T: unknown", ev)
}

func verified[M proto.Message](kind leasev1.JournalKind, v statement.Verified[M]) *leasev1.JournalEvent {
	return &leasev1.JournalEvent{Kind: kind, Statement: v.Signed(), Signer: v.Signer()}
}

// UnmarshalEvent reads what MarshalEvent wrote. Statements are verified anew,
// seals are not.
func UnmarshalEvent(b []byte) (Event, error) {
	e := &leasev1.JournalEvent{}
	if err := proto.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("unmarshal event: %w", err)
	}
	ev, err := restored(e)
	if err != nil {
		return nil, fmt.Errorf("unmarshal event %s: %w", e.GetKind(), err)
	}
	return ev, nil
}

func restored(e *leasev1.JournalEvent) (Event, error) {
	grace := time.Duration(e.GetGraceMs()) * time.Millisecond
	switch e.GetKind() {
	case leasev1.JournalKind_JOURNAL_KIND_TICK:
		return restoredTick(e.GetRandom())
	case leasev1.JournalKind_JOURNAL_KIND_STOP_ASKED:
		return StopAsked{Grace: grace}, nil
	case leasev1.JournalKind_JOURNAL_KIND_RESYNC_RECEIVED:
		return ResyncReceived{Resync: e.GetResync()}, nil
	case leasev1.JournalKind_JOURNAL_KIND_CHALLENGED:
		c, err := reopen[*leasev1.Challenge](e, statement.TypeChallenge)
		return Challenged{Challenge: c, Evidence: e.GetEvidence()}, err
	case leasev1.JournalKind_JOURNAL_KIND_ACKED:
		a, err := reopen[*leasev1.Ack](e, statement.TypeAck)
		return Acked{Ack: a}, err
	case leasev1.JournalKind_JOURNAL_KIND_TASK_RUNNING:
		return TaskRunning{}, nil
	case leasev1.JournalKind_JOURNAL_KIND_TASK_ENDED:
		return TaskEnded{Exit: e.GetExit()}, nil
	case leasev1.JournalKind_JOURNAL_KIND_TASK_EXITED:
		return TaskExited{Exit: e.GetExit(), OutputsDigest: e.GetOutputsDigest(), Evidence: e.GetEvidence()}, nil
	case leasev1.JournalKind_JOURNAL_KIND_TASK_FAILED:
		return TaskFailed{Exit: e.GetExit()}, nil
	case leasev1.JournalKind_JOURNAL_KIND_CLOSE_SIGNED:
		c, err := reopen[*leasev1.Close](e, statement.TypeClose)
		return CloseSigned{Close: c}, err
	case leasev1.JournalKind_JOURNAL_KIND_SEAL_READY:
		return SealReady{Seal: e.GetSeal()}, nil
	case leasev1.JournalKind_JOURNAL_KIND_SEAL_RECEIVED:
		// Checked before it was recorded: a thousand of them take a second.
		return SealReceived{seal: e.GetSeal()}, nil
	case leasev1.JournalKind_JOURNAL_KIND_YIELD:
		return Yield{Grace: grace}, nil
	case leasev1.JournalKind_JOURNAL_KIND_SLEPT:
		return Slept{Total: time.Duration(e.GetAsleepMs()) * time.Millisecond}, nil
	case leasev1.JournalKind_JOURNAL_KIND_HELD:
		return Hold{On: true}, nil
	case leasev1.JournalKind_JOURNAL_KIND_LET_GO:
		return Hold{}, nil
	case leasev1.JournalKind_JOURNAL_KIND_BEAT_RECEIVED:
		b, err := reopen[*leasev1.Beat](e, statement.TypeBeat)
		return BeatReceived{Beat: b, Observed: e.GetObserved()}, err
	case leasev1.JournalKind_JOURNAL_KIND_CLOSE_RECEIVED:
		c, err := reopen[*leasev1.Close](e, statement.TypeClose)
		return CloseReceived{Close: c}, err
	case leasev1.JournalKind_JOURNAL_KIND_NONCE_RECEIVED:
		return restoredNonce(e)
	case leasev1.JournalKind_JOURNAL_KIND_ATTESTED:
		a, err := reopen[*leasev1.Attest](e, statement.TypeAttest)
		return Attested{attest: a}, err
	case leasev1.JournalKind_JOURNAL_KIND_ABANDON:
		return Abandon{}, nil
	}
	return nil, statement.ErrMalformed
}

func restoredTick(random []byte) (Event, error) {
	var t Tick
	if len(random) != 0 && len(random) != RandomSize {
		return nil, statement.ErrSize
	}
	copy(t.Random[:], random)
	return t, nil
}

func restoredNonce(e *leasev1.JournalEvent) (Event, error) {
	ev := NonceReceived{Witness: e.GetWitness()}
	if copy(ev.Nonce[:], e.GetNonce()) != len(ev.Nonce) || len(e.GetNonce()) != len(ev.Nonce) {
		return nil, statement.ErrSize
	}
	return ev, nil
}

func reopen[M proto.Message](e *leasev1.JournalEvent, t statement.Type) (statement.Verified[M], error) {
	return statement.Open[M](e.GetStatement(), t, ed25519.PublicKey(e.GetSigner()))
}
