package requester

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// View is a job as others may see it.
type View struct {
	ID       job.ID
	Name     string
	Image    string
	State    string
	Worker   peer.ID
	LeaseID  string
	Created  time.Time
	CreditMS uint64
	Amount   uint64
	Beats    uint64
	Sealed   uint64 // beats whose seal was here in time, and right
	Exit     *leasev1.Exit
	Live     bool // it has not ended
}

// run is one job: its submission, its auction, its lease, its end.
type run struct {
	r       *Requester
	id      job.ID
	sub     *leasev1.Submission
	content map[string]bool // digests its worker may fetch
	outputs map[string]bool // digests of what its tasks left
	created time.Time
	sought  time.Time // since when a lease is sought, of the goroutine
	log     *slog.Logger
	history *history
	stdout  *logFile
	stderr  *logFile

	declines map[peer.ID]marketv1.DeclineReason // told, of the goroutine
	unfit    map[peer.ID]string                 // why workers refused awards for what the job is, of the goroutine
	fence    uint64                             // number of the last award, of the goroutine
	stamp    uint32                             // bits of work that a worker asked for, of the goroutine

	mu       sync.Mutex
	earlier  []*leasev1.JobEnded   // how leases before the present one ended; changed by the goroutine alone
	pending  *leasev1.AwardRequest // sent before a restart, answer unknown
	tenure   *tenure               // the lease; nil while searching
	past     *pastLease            // beside tenure, or instead of it once nothing is to be said under it any more
	finished *leasev1.JobEnded
	stopping bool
	cancel   context.CancelFunc // of the search

	forgotten atomic.Bool // nobody wants to see it any more
}

func (r *Requester) newRun(id job.ID, sub *leasev1.Submission, content map[string]bool, created time.Time) *run {
	dir := filepath.Join(r.Dir, id.String())
	return &run{
		r: r, id: id, sub: sub, content: content, created: created, sought: created,
		log: r.Log.With("job", id.String()[:12]), declines: map[peer.ID]marketv1.DeclineReason{}, unfit: map[peer.ID]string{},
		history: openHistory(filepath.Join(dir, "history")),
		stdout:  openLog(filepath.Join(dir, "stdout"), r.Now),
		stderr:  openLog(filepath.Join(dir, "stderr"), r.Now),
	}
}

// over says whether the job has ended.
func (j *run) over() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.finished != nil
}

func (j *run) lease() *tenure {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tenure
}

// pursue does the job, from wherever it stands, until it ends or ctx does. An
// error means that the journal takes no more records.
func (j *run) pursue(ctx context.Context) error {
	for {
		t := j.lease()
		if t == nil {
			var err error
			if t, err = j.search(ctx); err != nil {
				return j.endSearch(ctx, err)
			}
		}
		ended, err := t.keep(ctx)
		if err != nil || ended == nil {
			return err
		}
		if !j.worthAgain(ended) {
			return j.end(ctx, ended)
		}
		if err := j.again(ctx, ended); err != nil {
			return err
		}
	}
}

// search auctions the job until a lease is signed. Stopping the job ends it.
func (j *run) search(ctx context.Context) (*tenure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.mu.Lock()
	j.cancel = cancel
	stopping := j.stopping
	j.mu.Unlock()
	if stopping {
		return nil, errStopped
	}
	return j.auction(ctx)
}

// errJournal marks what this node cannot go on with.
type errJournal struct{ err error }

func (e errJournal) Error() string { return e.err.Error() }
func (e errJournal) Unwrap() error { return e.err }

var errStopped = errors.New("stopped before a lease was signed")

// endSearch turns the failure of a search into the job's end.
func (j *run) endSearch(ctx context.Context, err error) error {
	var broken errJournal
	if errors.As(err, &broken) {
		return err
	}
	j.mu.Lock()
	stopping := j.stopping
	j.mu.Unlock()
	switch {
	case stopping:
		return j.end(ctx, &leasev1.JobEnded{Outcome: leasev1.Outcome_OUTCOME_STOPPED, Sentence: errStopped.Error()})
	case ctx.Err() != nil:
		return nil // the node stops; the job goes on when it is back
	case errors.Is(err, errNoBid):
		return j.end(ctx, &leasev1.JobEnded{Outcome: leasev1.Outcome_OUTCOME_NO_BID, Sentence: err.Error()})
	default:
		return j.end(ctx, &leasev1.JobEnded{Outcome: leasev1.Outcome_OUTCOME_FAILED, Sentence: err.Error()})
	}
}

// end records the job's last event and tells whoever watches.
func (j *run) end(ctx context.Context, e *leasev1.JobEnded) error {
	j.addEarlier(e)
	event, err := proto.Marshal(e)
	if err != nil {
		return fmt.Errorf("record the end of job %s: %w", j.id, err)
	}
	if err := j.record(ctx, KindEnded, event, nil); err != nil {
		return err
	}
	j.mu.Lock()
	j.finished, j.content = e, nil // its worker has no right to content any more, before anybody hears of the end
	j.mu.Unlock()
	j.stdout.end()
	j.stderr.end()
	last := &leasev1.JobEvent{Event: &leasev1.JobEvent_Ended{Ended: e}}
	j.tell(last)
	j.history.end(last)
	j.retire()
	j.log.Info("job ended", "outcome", e.Outcome, "code", e.GetExit().GetCode())
	return nil
}

// retire leaves a remnant of a job that has ended, once nothing is to be said under its lease any more.
func (j *run) retire() {
	if j.silent() {
		j.r.bury(j)
	}
}

// silent says whether the job has ended and nothing is to be said under its lease any more.
func (j *run) silent() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finished == nil {
		return false
	}
	if t := j.tenure; t != nil && t.settled.Load() {
		l := t.session.Lease()
		j.past = &pastLease{id: t.id, worker: t.worker, beats: l.Beats(), sealed: l.Sealed()}
		j.tenure = nil
	}
	return j.tenure == nil
}

// record makes something about the job durable; with a full disk it waits for room.
func (j *run) record(ctx context.Context, kind string, event []byte, statements [][]byte) error {
	return j.recordUnder(ctx, j.id.String(), kind, event, statements)
}

func (j *run) recordUnder(ctx context.Context, key, kind string, event []byte, statements [][]byte) error {
	return j.keep(ctx, journal.Record{Key: key, Kind: kind, At: j.r.Now(), Event: event, Statements: statements})
}

func (j *run) keep(ctx context.Context, rec journal.Record) error {
	full := func(err error) { j.log.Warn("the job waits for room on the disk", "err", err) }
	if err := journal.Insist(ctx, j.r.Journal, rec, full); err != nil {
		return errJournal{fmt.Errorf("journal job %s: %w", j.id, err)}
	}
	return nil
}

// tell adds to the job's history. The history is for people: what counts is in the journal.
func (j *run) tell(e *leasev1.JobEvent) {
	e.AtMs = j.r.Now().UnixMilli()
	if err := j.history.add(e); err != nil {
		j.log.Warn("history", "err", err)
	}
}

// trouble tells of something that goes wrong.
func (j *run) trouble(code, format string, args ...any) {
	j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Trouble{Trouble: &leasev1.Trouble{
		Code: code, Sentence: job.CleanText(fmt.Sprintf(format, args...)),
	}}})
}

// stop ends the job as far as it has come.
func (j *run) stop(grace time.Duration, abandon bool) error {
	j.mu.Lock()
	if j.finished != nil {
		j.mu.Unlock()
		return fmt.Errorf("%s: %w", j.id, ErrEnded)
	}
	j.stopping = true
	t := j.tenure
	if t == nil && j.cancel != nil {
		j.cancel()
	}
	j.mu.Unlock()
	if t != nil {
		go t.stop(grace, abandon)
	}
	return nil
}

// entitles says whether a peer is this job's worker, under this lease, and may fetch a blob.
func (j *run) entitles(from peer.ID, leaseID []byte, digest string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.tenure
	return t != nil && t.worker == from && bytes.Equal(t.id[:], leaseID) && j.content[digest]
}

// needs says whether a blob is of what the job's worker may fetch, or of what a task left.
func (j *run) needs(digest string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.content[digest] || j.outputs[digest] && !j.forgotten.Load()
}

func (j *run) view() View {
	v := View{ID: j.id, Name: j.sub.Spec.Name, Image: j.sub.Spec.Image.Name, Created: j.created, State: "searching"}
	j.mu.Lock()
	defer j.mu.Unlock()
	if p := j.past; p != nil {
		v.Worker, v.LeaseID, v.Beats, v.Sealed = p.worker, p.id.String(), p.beats, p.sealed
	}
	if t := j.tenure; t != nil {
		l := t.session.Lease()
		v.Worker, v.LeaseID = t.worker, t.id.String()
		v.CreditMS, v.Amount, v.Beats, v.Sealed = l.CreditMS(), l.Amount(), l.Beats(), l.Sealed()
		v.State = stateWord(l.State(), t.phase())
	}
	for _, before := range j.earlier {
		v.CreditMS, v.Amount = v.CreditMS+before.CreditMs, v.Amount+before.Amount
	}
	v.Live = j.finished == nil
	if !v.Live {
		v.CreditMS, v.Amount = j.finished.CreditMs, j.finished.Amount // of all leases
		v.State, v.Exit = outcomeWord(j.finished), j.finished.Exit
	}
	return v
}

// stateWord is what `ps` shows of a lease and its task.
func stateWord(s lease.State, p leasev1.Phase) string {
	if s != lease.Active && s != lease.AwaitAck {
		return s.String()
	}
	switch p {
	case leasev1.Phase_PHASE_PULLING:
		return "pulling"
	case leasev1.Phase_PHASE_RUNNING:
		return "running"
	case leasev1.Phase_PHASE_FROZEN:
		return "frozen"
	case leasev1.Phase_PHASE_COLLECTING, leasev1.Phase_PHASE_ENDED:
		return "finishing"
	default:
		return "starting"
	}
}

func outcomeWord(e *leasev1.JobEnded) string {
	switch e.Outcome {
	case leasev1.Outcome_OUTCOME_EXITED:
		return fmt.Sprintf("exited (%d)", e.GetExit().GetCode())
	case leasev1.Outcome_OUTCOME_NO_BID:
		return "no bid"
	case leasev1.Outcome_OUTCOME_STOPPED:
		return "stopped"
	case leasev1.Outcome_OUTCOME_LAPSED:
		return "lapsed"
	case leasev1.Outcome_OUTCOME_TIMEOUT:
		return "timed out"
	default:
		return "failed"
	}
}
