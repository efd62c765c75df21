package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
)

// Config is what a Server answers from. Every part must be set.
type Config struct {
	DataDir  string
	Version  string
	Jobs     Jobs
	Blobs    Blobs
	Offers   Offers
	Receipts Receipts
	Leases   Leases
	Market   Market
	Tasks    Tasks
	Node     Node
	Owner    Owner
	Reach    Reach
	Ports    Ports
	Stats    Stats
	Freezer  Freezer
	Sharing  Sharing
	Log      *slog.Logger
}

// Server answers the calls of ControlService.
type Server struct {
	Config
	idle idleness
}

var _ controlv1connect.ControlServiceHandler = (*Server)(nil)

// New makes a Server. It listens nowhere yet.
func New(c Config) *Server {
	return &Server{Config: c, idle: idleness{since: time.Now()}}
}

// maxMessage bounds one message from a client: the longest is a page of digests.
const maxMessage = 4 << 20

// shutdownTime is how long calls in progress may take to end once Serve's context is done.
const shutdownTime = 500 * time.Millisecond

// Serve answers on l until ctx is done, and closes it. Watches in progress end
// with ctx; other calls get a moment to finish.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Calls learn why they end: because the node stops, not because their client left.
	calls, endCalls := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endCalls(nil)
	defer context.AfterFunc(ctx, func() { endCalls(ErrStopping) })()
	mux := http.NewServeMux()
	options := connect.WithHandlerOptions(
		connect.WithReadMaxBytes(maxMessage),
		connect.WithCompression("gzip", nil, nil)) // the other end is on this machine
	mux.Handle(controlv1connect.NewControlServiceHandler(s, options))
	mux.Handle(controlv1connect.NewReceiptServiceHandler(leaseServer{s.Leases}, options))
	mux.Handle(controlv1connect.NewMarketServiceHandler(market{s}, options))
	mux.Handle(controlv1connect.NewTaskServiceHandler(taskServer{s.Tasks}, options))
	mux.Handle(controlv1connect.NewOwnerServiceHandler(s, options))
	mux.Handle(controlv1connect.NewReachServiceHandler(reach{s}, options))
	mux.Handle(controlv1connect.NewFreezeServiceHandler(freezeServer{s.Freezer}, options))
	mux.Handle(controlv1connect.NewShareServiceHandler(shareServer{s.Sharing}, options))
	mux.Handle(controlv1connect.NewStatsServiceHandler(statsServer{s.Stats}, options))
	mux.Handle(controlv1connect.NewPortServiceHandler(portServer{s.Ports}, options))
	srv := &http.Server{
		Handler:           s.idle.count(mux),
		Protocols:         plainHTTP2(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return calls },
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     8 << 20,
			MaxReceiveBufferPerConnection: 16 << 20,
		},
	}
	stopped := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-stopped:
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(l)
	close(stopped)
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve control socket: %w", err)
}

// Status implements controlv1connect.ControlServiceHandler.
func (s *Server) Status(ctx context.Context, _ *controlv1.StatusRequest) (*controlv1.StatusResponse, error) {
	st := s.Node.Status(ctx)
	if st.Pid == 0 {
		st.Pid = int32(os.Getpid())
	}
	if st.DataDir == "" {
		st.DataDir = s.DataDir
	}
	if st.Version == "" {
		st.Version = s.Version
	}
	return st, nil
}

// ListOffers implements controlv1connect.ControlServiceHandler.
func (s *Server) ListOffers(ctx context.Context, req *controlv1.ListOffersRequest) (*controlv1.ListOffersResponse, error) {
	wait := min(max(0, time.Duration(req.WaitMs)*time.Millisecond), time.Minute)
	var fit []*controlv1.SeenOffer
	if req.Known {
		fit = pickOffers(s.Offers.Offers(ctx, 0), req)
	}
	if len(fit) == 0 {
		fit = pickOffers(s.Offers.Offers(ctx, wait), req)
	}
	return &controlv1.ListOffersResponse{
		Offers:         fit,
		ConnectedPeers: s.Node.Status(ctx).ConnectedPeers,
	}, nil
}

// SubmitJob implements controlv1connect.ControlServiceHandler.
func (s *Server) SubmitJob(ctx context.Context, req *controlv1.SubmitJobRequest) (*controlv1.SubmitJobResponse, error) {
	if req.Submission.GetSpec() == nil {
		return nil, toWire(fmt.Errorf("%w: a submission has no spec", ErrInvalid))
	}
	id, err := s.Jobs.Submit(ctx, req.Submission)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.SubmitJobResponse{JobId: id}, nil
}

// StopJob implements controlv1connect.ControlServiceHandler.
func (s *Server) StopJob(ctx context.Context, req *controlv1.StopJobRequest) (*controlv1.StopJobResponse, error) {
	grace := max(0, time.Duration(req.GraceMs)*time.Millisecond)
	if err := s.Jobs.Stop(ctx, req.JobId, grace, req.Abandon); err != nil {
		return nil, toWire(err)
	}
	return &controlv1.StopJobResponse{}, nil
}

// ListJobs implements controlv1connect.ControlServiceHandler.
func (s *Server) ListJobs(_ context.Context, req *controlv1.ListJobsRequest) (*controlv1.ListJobsResponse, error) {
	return &controlv1.ListJobsResponse{Jobs: s.Jobs.List(req.All)}, nil
}

// GetReceipt implements controlv1connect.ControlServiceHandler.
func (s *Server) GetReceipt(_ context.Context, req *controlv1.GetReceiptRequest) (*controlv1.GetReceiptResponse, error) {
	lease, receipt, err := s.Receipts.Receipt(req.Id)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.GetReceiptResponse{LeaseId: lease, Receipt: receipt}, nil
}

// ListReceipts implements controlv1connect.ControlServiceHandler.
func (s *Server) ListReceipts(context.Context, *controlv1.ListReceiptsRequest) (*controlv1.ListReceiptsResponse, error) {
	lines, err := s.Receipts.ListReceipts()
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.ListReceiptsResponse{Receipts: lines}, nil
}

// Join implements controlv1connect.ControlServiceHandler.
func (s *Server) Join(_ context.Context, req *controlv1.JoinRequest) (*controlv1.JoinResponse, error) {
	return &controlv1.JoinResponse{}, toWire(s.Node.Join(req.Addresses))
}

// Shutdown implements controlv1connect.ControlServiceHandler.
func (s *Server) Shutdown(_ context.Context, req *controlv1.ShutdownRequest) (*controlv1.ShutdownResponse, error) {
	s.Node.Shutdown(req.Drain)
	return &controlv1.ShutdownResponse{}, nil
}
