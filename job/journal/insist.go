package journal

import (
	"context"
	"errors"
	"time"
)

// roomEvery is how often a full disk is tried again.
const roomEvery = time.Second

// Appender takes records, as a Journal does.
type Appender interface {
	Append(Record) error
}

// Insist appends a record, and waits for room until ctx ends when the disk is full. What has
// happened cannot be refused: whoever it happened to must wait. waiting is told once, when
// the wait begins.
func Insist(ctx context.Context, to Appender, r Record, waiting func(error)) error {
	err := to.Append(r)
	if !errors.Is(err, ErrFull) {
		return err
	}
	waiting(err)
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for errors.Is(err, ErrFull) {
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
		err = to.Append(r)
	}
	return err
}
