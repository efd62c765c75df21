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
	full := func(err error) bool { return errors.Is(err, ErrFull) }
	return insist(ctx, func() error { return to.Append(r) }, full, waiting)
}

// InsistOn does what writes a file, and does it again until ctx ends while the disk is full.
// waiting is told once, when the wait begins.
func InsistOn(ctx context.Context, do func() error, waiting func(error)) error {
	return insist(ctx, do, IsFull, waiting)
}

func insist(ctx context.Context, do func() error, full func(error) bool, waiting func(error)) error {
	err := do()
	if !full(err) {
		return err
	}
	waiting(err)
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for full(err) {
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
		err = do()
	}
	return err
}
