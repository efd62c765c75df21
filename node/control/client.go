package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Client speaks to the node of one data directory. Its errors carry the node's own
// words and match this package's sentinels. It is safe for concurrent use.
type Client struct {
	api       controlv1connect.ControlServiceClient
	leases    controlv1connect.ReceiptServiceClient
	market    controlv1connect.MarketServiceClient
	owner     controlv1connect.OwnerServiceClient
	reach     controlv1connect.ReachServiceClient
	tasks     controlv1connect.TaskServiceClient
	ports     controlv1connect.PortServiceClient
	stats     controlv1connect.StatsServiceClient
	freezer   controlv1connect.FreezeServiceClient
	sharing   controlv1connect.ShareServiceClient
	transport *http.Transport
}

// Dial connects to the node that owns dataDir, or says ErrNotRunning.
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	conn, err := dialSocket(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	// The first connection is there already: what a dial could find out (a stale
	// socket, a wrong owner) is known, and it is used, not thrown away.
	first := make(chan net.Conn, 1)
	first <- conn
	t := &http.Transport{
		Protocols: plainHTTP2(),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case c := <-first:
				return c, nil
			default:
				return dialSocket(ctx, dataDir)
			}
		},
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 8 << 20},
	}
	if err := hello(ctx, t); err != nil {
		t.CloseIdleConnections()
		_ = conn.Close()
		if isGone(err) {
			return nil, fmt.Errorf("%w on %s", ErrNotRunning, dataDir)
		}
		return nil, fmt.Errorf("talk to the node on %s: %w", dataDir, err)
	}
	over, plain := &http.Client{Transport: t}, connect.WithAcceptCompression("gzip", nil, nil)
	return &Client{
		api:       controlv1connect.NewControlServiceClient(over, origin, plain),
		leases:    controlv1connect.NewReceiptServiceClient(over, origin, plain),
		market:    controlv1connect.NewMarketServiceClient(over, origin, plain),
		owner:     controlv1connect.NewOwnerServiceClient(over, origin, plain),
		reach:     controlv1connect.NewReachServiceClient(over, origin, plain),
		tasks:     controlv1connect.NewTaskServiceClient(over, origin, plain),
		ports:     controlv1connect.NewPortServiceClient(over, origin, plain),
		stats:     controlv1connect.NewStatsServiceClient(over, origin, plain),
		freezer:   controlv1connect.NewFreezeServiceClient(over, origin, plain),
		sharing:   controlv1connect.NewShareServiceClient(over, origin, plain),
		transport: t,
	}, nil
}

// origin stands where a host would; the socket is the only one there is.
const origin = "http://rigmesh"

// hello makes sure that somebody answers. A process that is dying still takes connections
// for a moment, and answers none of them.
func hello(ctx context.Context, t *http.Transport) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, origin, nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close() // what it says does not matter
}

// isGone says whether the other end went away instead of answering.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isRefused(err)
}

// plainHTTP2 is the one protocol of the socket.
func plainHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Close drops the connections that are not in use.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Status says what the node is and does.
func (c *Client) Status(ctx context.Context) (*controlv1.StatusResponse, error) {
	resp, err := c.api.Status(ctx, &controlv1.StatusRequest{})
	return resp, fromWire(err)
}

// Offers says who is out there.
func (c *Client) Offers(ctx context.Context, req *controlv1.ListOffersRequest) (*controlv1.ListOffersResponse, error) {
	resp, err := c.api.ListOffers(ctx, req)
	return resp, fromWire(err)
}

// Submit hands a job in and gives its id. ErrInvalid, ErrMissing, ErrStopping.
func (c *Client) Submit(ctx context.Context, s *leasev1.Submission) (string, error) {
	resp, err := c.api.SubmitJob(ctx, &controlv1.SubmitJobRequest{Submission: s})
	return resp.GetJobId(), fromWire(err)
}

// Watch gives what happens to a job; see WatchJob. An error comes last, with a nil item.
func (c *Client) Watch(ctx context.Context, req *controlv1.WatchJobRequest) iter.Seq2[*controlv1.WatchJobResponse, error] {
	return received(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[controlv1.WatchJobResponse], error) {
		return c.api.WatchJob(ctx, req)
	})
}

// received gives what comes on a stream that open begins. An error comes last, with a nil
// message.
func received[T any](ctx context.Context, open func(context.Context) (*connect.ServerStreamForClient[T], error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // also what ends the stream when the loop is left early
		stream, err := open(ctx)
		if err != nil {
			yield(nil, fromWire(err))
			return
		}
		defer stream.Close()
		for stream.Receive() {
			if !yield(stream.Msg(), nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(nil, fromWire(err))
		}
	}
}

// Stop asks a job to end within grace; with abandon its lease is given up at once.
func (c *Client) Stop(ctx context.Context, id string, grace time.Duration, abandon bool) error {
	_, err := c.api.StopJob(ctx, &controlv1.StopJobRequest{JobId: id, GraceMs: grace.Milliseconds(), Abandon: abandon})
	return fromWire(err)
}

// Jobs lists the node's jobs and leases; with all, ended ones too.
func (c *Client) Jobs(ctx context.Context, all bool) ([]*controlv1.Job, error) {
	resp, err := c.api.ListJobs(ctx, &controlv1.ListJobsRequest{All: all})
	return resp.GetJobs(), fromWire(err)
}

// Receipt gives the bytes of one receipt and the id of its lease.
func (c *Client) Receipt(ctx context.Context, id string) (leaseID string, receipt []byte, err error) {
	resp, err := c.api.GetReceipt(ctx, &controlv1.GetReceiptRequest{Id: id})
	return resp.GetLeaseId(), resp.GetReceipt(), fromWire(err)
}

// Receipts lists the node's receipts.
func (c *Client) Receipts(ctx context.Context) ([]*controlv1.ReceiptLine, error) {
	resp, err := c.api.ListReceipts(ctx, &controlv1.ListReceiptsRequest{})
	return resp.GetReceipts(), fromWire(err)
}

// Join gives the node more nodes to begin with; see Node.Join.
func (c *Client) Join(ctx context.Context, addrs []string) error {
	_, err := c.api.Join(ctx, &controlv1.JoinRequest{Addresses: addrs})
	return fromWire(err)
}

// Shutdown stops the node; with drain, after its leases have ended.
func (c *Client) Shutdown(ctx context.Context, drain bool) error {
	_, err := c.api.Shutdown(ctx, &controlv1.ShutdownRequest{Drain: drain})
	return fromWire(err)
}

// digestsPerCall keeps a page of digests well under maxMessage.
const digestsPerCall = 10_000

// MissingBlobs says which of the digests the node does not hold.
func (c *Client) MissingBlobs(ctx context.Context, digests []string) ([]string, error) {
	var missing []string
	for len(digests) > 0 {
		n := min(len(digests), digestsPerCall)
		resp, err := c.api.MissingBlobs(ctx, &controlv1.MissingBlobsRequest{Digests: digests[:n]})
		if err != nil {
			return nil, fromWire(err)
		}
		missing = append(missing, resp.Digests...)
		digests = digests[n:]
	}
	return missing, nil
}

// PutBlob streams the content of one digest to the node.
func (c *Client) PutBlob(ctx context.Context, digest string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.PutBlob(ctx)
	if err != nil {
		return fromWire(err)
	}
	msg, buf := &controlv1.PutBlobRequest{Digest: digest}, make([]byte, piece)
	for {
		n, readErr := io.ReadFull(r, buf)
		msg.Data = buf[:n]
		if n > 0 || msg.Digest != "" {
			if err := stream.Send(msg); errors.Is(err, io.EOF) {
				break // the node has decided already: its answer says what
			} else if err != nil {
				return fromWire(err)
			}
		}
		msg.Digest = ""
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
			break
		}
		if readErr != nil {
			return fmt.Errorf("read what to send as %s: %w", digest, readErr)
		}
	}
	_, err = stream.CloseAndReceive()
	return fromWire(err)
}

// Blob gives the content of one digest that the node holds, from an offset on.
// ErrNotFound may come with the first Read. With it a Client is a blob.Blobs.
func (c *Client) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.api.GetBlob(ctx, &controlv1.GetBlobRequest{Digest: digest, Offset: uint64(offset)})
	if err != nil {
		cancel()
		return nil, fromWire(err)
	}
	return &download{stream: stream, cancel: cancel}, nil
}

// download reads the content of one blob out of its messages.
type download struct {
	stream *connect.ServerStreamForClient[controlv1.GetBlobResponse]
	cancel context.CancelFunc
	rest   []byte
}

func (d *download) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		if !d.stream.Receive() {
			return 0, cmpErr(fromWire(d.stream.Err()), io.EOF)
		}
		d.rest = d.stream.Msg().Data
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *download) Close() error {
	d.cancel() // before Close, which otherwise reads the rest
	_ = d.stream.Close()
	return nil
}
