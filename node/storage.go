package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/shelf"
	"github.com/rigmesh/rigmesh/runtime"
)

// settle is how long a blob counts as in use after it was: a person fills the store before
// the job that needs it is submitted.
const settle = time.Hour

// stored is one thing in the store and the way to let go of it.
type stored struct {
	shelf.Item
	drop func(context.Context) (bool, error)
}

// trim lets go of what was used longest ago until so many bytes more fit under the bound on
// the store. runtime.ErrNoSpace when what is in use leaves no room for them.
func (n *Node) trim(ctx context.Context, more int64) error {
	n.trimming.Lock()
	defer n.trimming.Unlock()
	items, drops, err := n.shelved(ctx)
	if err != nil {
		return err
	}
	before := shelf.Total(items)
	limit, err := n.storeMax(before)
	if err != nil {
		return err
	}
	// A stranger may name an input of any size: nothing goes for one that cannot fit.
	if err := fits(more, shelf.Busy(items), limit); err != nil {
		return err
	}
	var problems []error
	gone := 0
	for _, it := range shelf.Excess(items, limit-more) {
		ok, err := drops[it.Name](ctx)
		problems = append(problems, err)
		if ok {
			gone++
		}
	}
	if gone > 0 {
		if items, _, err = n.shelved(ctx); err != nil {
			return err
		}
		n.log.Info("made room in the store", "removed", gone, "bytes", before-shelf.Total(items))
	}
	return errors.Join(append(problems, fits(more, shelf.Total(items), limit))...)
}

// fits says whether there is room for more beside what stays.
func fits(more, stays, limit int64) error {
	if more <= 0 || more <= limit-stays {
		return nil
	}
	return fmt.Errorf("%w: %s more, and %s of the %s of store.max are in use",
		runtime.ErrNoSpace, config.Bytes(more), config.Bytes(stays), config.Bytes(max(0, limit)))
}

// shelved is the store as the rules want it, and how to let go of each thing by its name.
func (n *Node) shelved(ctx context.Context) ([]shelf.Item, map[string]func(context.Context) (bool, error), error) {
	all, err := n.keptBlobs()
	if err != nil {
		return nil, nil, fmt.Errorf("look at the store: %w", err)
	}
	images, err := n.keptImages(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the store: %w", err)
	}
	var items []shelf.Item
	drops := make(map[string]func(context.Context) (bool, error))
	for _, k := range append(all, images...) {
		items, drops[k.Name] = append(items, k.Item), k.drop
	}
	return items, drops, nil
}

// storeMax is the bound on the store, which takes so many bytes now.
func (n *Node) storeMax(used int64) (int64, error) {
	if n.cfg.Store.Max > 0 {
		return int64(n.cfg.Store.Max), nil
	}
	room, err := runtime.RoomUnder(n.cfg.DataDir)
	if err != nil {
		return 0, err
	}
	return (room.Bytes + used) / 2, nil
}

// keptBlobs are inputs, outputs, and images on their way to a worker.
func (n *Node) keptBlobs() ([]stored, error) {
	blobs, err := n.store.List()
	if err != nil {
		return nil, err
	}
	var all []stored
	holds := n.holding()
	since := time.Now().Add(-settle) // as the file system has it
	for _, b := range blobs {
		name := "blob " + b.Digest
		all = append(all, stored{
			Item: shelf.Item{
				Name: name, Used: b.Used, Busy: b.Used.After(since) || holds(b.Digest), Parts: map[string]int64{name: b.Size},
			},
			drop: func(context.Context) (bool, error) {
				if holds(b.Digest) {
					return false, nil
				}
				return n.store.Discard(b.Digest, since)
			},
		})
	}
	return all, nil
}

// keptImages are those of the runtime. What it has of images that are not whole is being fetched.
func (n *Node) keptImages(ctx context.Context) (all []stored, err error) {
	store, ok := n.parts.Runtime.(runtime.Images)
	if !ok || n.worker == nil {
		return nil, nil
	}
	images, err := store.Images(ctx)
	for _, i := range images {
		busy := func() bool { return i.Image.Digest == "" || n.worker.Uses(i.Image.Digest) }
		all = append(all, stored{
			Item: shelf.Item{Name: "image " + i.Image.Digest + " " + i.Image.Platform, Used: i.Used, Parts: i.Parts, Busy: busy()},
			drop: func(ctx context.Context) (bool, error) {
				gone, err := store.Forget(ctx, i.Image, busy)
				if gone {
					n.images.forget(i.Image.Digest)
				}
				return gone, err
			},
		})
	}
	return all, err
}

// holding is holds for many blobs, and for outputs of jobs that ended not long ago as well.
func (n *Node) holding() func(digest string) bool {
	kept := n.requester.KeptOutputs()
	return func(digest string) bool { return kept[digest] || n.holds(digest) }
}

// holds says whether a job or lease needs a blob, or whether it is shared.
func (n *Node) holds(digest string) bool {
	return n.commons.holds(digest) || n.requester.Holds(digest) || (n.worker != nil && n.worker.Holds(digest))
}
