package requester

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// MaxRetries bounds how often a job is run again.
const MaxRetries = 100

// CheckRetries says whether a job may be run again that often.
func CheckRetries(n uint32) error {
	if n > MaxRetries {
		return fmt.Errorf("%d retries: at most %d", n, MaxRetries)
	}
	return nil
}

// worthAgain says whether a job whose lease has ended is to be run again: when it was
// not the job that ended it, nor the user, and the user has allowed for it. Whoever
// allows for none has it run at most once.
func (j *run) worthAgain(ended *leasev1.JobEnded) bool {
	if ended.Outcome == leasev1.Outcome_OUTCOME_LAPSED && ended.Exit != nil {
		return false // its task had ended
	}
	switch ended.Outcome {
	case leasev1.Outcome_OUTCOME_LAPSED, leasev1.Outcome_OUTCOME_FAILED:
		return len(j.earlier) < int(j.sub.Retries) && !j.wantsStop()
	}
	return false
}

// again gives a lease up for good and makes the job ready to be auctioned anew. The next
// award has a higher number: what is left of this lease cannot begin behind it.
func (j *run) again(ctx context.Context, ended *leasev1.JobEnded) error {
	if err := errors.Join(j.stdout.sync(), j.stderr.sync()); err != nil {
		j.log.Warn("keep the output", "err", err) // what a power cut takes of it is not waited for
	}
	a := &leasev1.Again{Ended: ended, StdoutBytes: j.stdout.size(), StderrBytes: j.stderr.size()}
	event, err := proto.Marshal(a)
	if err != nil {
		return fmt.Errorf("record that job %s is run again: %w", j.id, err)
	}
	if err := j.record(ctx, KindAgain, event, nil); err != nil {
		return err
	}
	j.resume(a, j.r.Now())
	j.mu.Lock()
	j.tenure = nil
	j.mu.Unlock()
	j.trouble("again", "%s; looking for another lease: retry %d of %d", ended.Sentence, len(j.earlier), j.sub.Retries)
	j.log.Info("job is run again", "after", ended.Outcome, "retry", len(j.earlier))
	return nil
}

// resume takes up where a lease came to nothing, at that time.
func (j *run) resume(a *leasev1.Again, at time.Time) {
	j.sought = at
	j.mu.Lock()
	j.earlier = append(j.earlier, a.Ended)
	j.mu.Unlock()
	j.stdout.begin(a.StdoutBytes)
	j.stderr.begin(a.StderrBytes)
}

// addEarlier adds to a job's end what leases before the last one cost.
func (j *run) addEarlier(e *leasev1.JobEnded) {
	for _, before := range j.earlier {
		e.CreditMs += before.CreditMs
		e.Amount += before.Amount
	}
}

// tenureKey is the key in the journal of what happens under a job's lease, after so many
// before it: the worker of one that ended may still speak while the next one runs.
func tenureKey(job string, before int) string {
	if before == 0 {
		return job
	}
	return job + "/" + strconv.Itoa(before)
}

// underLease says whether records of a kind are about one of a job's leases.
func underLease(kind string) bool {
	return kind == KindLease || kind == KindEvent || kind == KindReceived
}

// splitKey is the reverse of tenureKey.
func splitKey(key string) (job string, before int) {
	job, n, found := strings.Cut(key, "/")
	if found {
		before, _ = strconv.Atoi(n)
	}
	return job, before
}
