//go:build !linux

package node

import (
	"context"
	"log/slog"
	"time"
)

// input is not known where nothing is lent.
type input struct {
	now    func() time.Time
	wanted func() bool
	log    *slog.Logger
}

func (*input) used() time.Time { return time.Time{} }

func (*input) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
