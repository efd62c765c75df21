package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

// documentTimeout is how long one peer may take for a document.
const documentTimeout = time.Minute

// Document gives a small blob of unknown size, such as a manifest: from the first peer that
// gives it right, at most limit bytes. ErrNobody.
func (i *Image) Document(ctx context.Context, digest string, limit int64) ([]byte, error) {
	asked := make(map[peer.ID]bool)
	for {
		all, more, changed := i.useful(&history{digest: digest})
		for _, m := range all {
			if asked[m.id] {
				continue
			}
			asked[m.id] = true
			content, err := i.document(ctx, m, digest, limit)
			if err == nil || ctx.Err() != nil {
				return content, err
			}
			i.swarm.cfg.Log.Debug("a peer does not give a document", "peer", m.id, "blob", digest, "err", err)
		}
		if !more {
			return nil, fmt.Errorf("blob %s: %w", digest, ErrNobody)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (i *Image) document(ctx context.Context, m *member, digest string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	var content bytes.Buffer
	_, err := blob.Copy(ctx, whole{m.peer}, digest, &content, limit)
	if errors.Is(err, blob.ErrDigest) { // nobody else had a hand in it
		i.swarm.lied(m.id, digest)
	}
	return content.Bytes(), err
}

// whole is one peer's blobs from an offset on.
type whole struct{ peer Peer }

// Blob implements blob.Blobs.
func (w whole) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	body, err := w.peer.Range(ctx, digest, offset, 0)
	if err != nil {
		return nil, err // not a nil Body
	}
	return body, nil
}
