package announce

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// maxTold bounds how many of our own announcements can still be withdrawn.
const maxTold = 256

// Publish tells a tier of an announcement. wider is how often it was published before:
// where a tier is split it reaches others each time, the own shard first. Where
// everybody was told already it does nothing, and told is false.
func (b *Board) Publish(ctx context.Context, tier string, said *marketv1.Signed, wider int) (told bool, err error) {
	topics := b.spread().Around(class(tier), b.Self)
	if wider >= len(topics) {
		return false, nil
	}
	hash := statement.HashPayload(said.Type, said.Payload)
	before, _ := b.told.Get(hash)
	b.told.Add(hash, append(before[:len(before):len(before)], topics[wider]))
	return true, b.publish(ctx, topics[wider], said)
}

// Withdraw tells whoever was told of an announcement that it is over.
func (b *Board) Withdraw(ctx context.Context, said *marketv1.Signed) error {
	w, err := statement.OpenWithdrawal(said)
	if err != nil {
		return err
	}
	topics, _ := b.told.Get(statement.Hash(w.Message().AnnouncementHash))
	var errs []error
	for _, topic := range topics {
		errs = append(errs, b.publish(ctx, topic, said))
	}
	return errors.Join(errs...)
}

func (b *Board) publish(ctx context.Context, topic string, said *marketv1.Signed) error {
	data, err := proto.Marshal(said)
	if err != nil {
		return err
	}
	m, err := b.join(topic)
	if err != nil {
		return err
	}
	defer b.leaveSoon(topic)
	return m.Publish(ctx, data)
}
