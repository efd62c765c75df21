//go:build linux

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/containerd"
	"github.com/rigmesh/rigmesh/runtime/ociregistry"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// loopback is the way to a registry on this machine, which no node takes for a stranger.
type loopback struct{}

func (loopback) Image(name string) (worker.RegistryImage, error) {
	return ociregistry.Anonymous(name, publicnet.Transport(publicnet.AnyAddress()))
}

// TestALayerComesFromTheRegistryOnceAndThenFromAnotherWorker has two workers with a
// containerd each, in this process, and Debian's docker-registry, which loses its layers
// once the first worker has them. An input comes from a server; the requester does not have it.
func TestALayerComesFromTheRegistryOnceAndThenFromAnotherWorker(t *testing.T) {
	if _, err := exec.LookPath("docker-registry"); err != nil {
		t.Skip("docker-registry is not installed (Debian has it in docker-registry)")
	}
	n := prepare(t, binary)
	host := n.registry("")
	name := host + "/public/busybox:1"
	if err := ociimage.PushBusybox(n.ctx, name, ociimage.BusyboxOptions(), "linux/amd64"); err != nil {
		t.Fatal(err)
	}
	first := n.inProcess("first", "rtx-4090")
	second := n.inProcess("second", "rtx-4090", first.Addrs()[0])
	laptop := n.inProcess("renting", "", first.Addrs()[0])
	sub, layers := n.publicImage(laptop, name)
	sub.Spec.Inputs = []*marketv1.Input{n.webInput(laptop, "from the web")}
	sub.Spec.Command = []string{"sh", "-c", `test "$(cat /models/new/m)" = "from the web" && exit 7`}
	for i, w := range []*node.Node{first, second} {
		sub.Worker = w.Addrs()[0]
		id, err := laptop.Requester().Submit(n.ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			n.exits(laptop, id, 7)
			n.layersGone(host)
			continue
		}
		for _, digest := range layers { // the second worker gets them from the first, or not at all
			if err := laptop.Store().Remove(digest); err != nil {
				t.Fatal(err)
			}
		}
		n.exits(laptop, id, 7)
	}
}

// inProcess runs a node in this process, with a containerd of its own if it has devices.
func (n *network) inProcess(name, gpus string, bootstrap ...string) *node.Node {
	n.t.Helper()
	n.mkdir(name)
	log := slog.New(slog.NewTextHandler(n.t.Output(), nil)).With("node", name)
	cfg := config.Default(n.Path(name))
	cfg.Listen, cfg.Bootstrap, cfg.SimulateGPU, cfg.Worker = []string{"/ip4/127.0.0.1/tcp/0"}, bootstrap, gpus, gpus != ""
	parts := node.Parts{NoControl: true, Version: "e2e", Log: log, Registry: loopback{}, AnyAddress: true}
	if cfg.Worker {
		self, err := filepath.Abs(binary)
		if err != nil {
			n.t.Fatal(err)
		}
		rt, err := containerd.New(containerd.Config{DataDir: n.Path(name, "containerd"), Prefix: fmt.Sprint(name, os.Getpid()), Executable: self, Log: log})
		if err != nil {
			n.t.Fatal(err)
		}
		parts.Runtime = rt
	}
	made, err := node.New(cfg, parts)
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.ctx)
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("node %s: %v", name, err)
		}
	})
	return made
}

// webInput is a file on a server of this machine, which a requester names and does not have.
func (n *network) webInput(into *node.Node, content string) *marketv1.Input {
	n.t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}))
	n.t.Cleanup(web.Close)
	packed, err := tree.PackEntry(n.ctx, &marketv1.Entry{
		Path: job.InputFile, Mode: 0o644, SizeBytes: uint64(len(content)), Digest: blob.Digest([]byte(content)), Url: web.URL,
	}, tree.ToStore(into.Store()))
	if err != nil {
		n.t.Fatal(err)
	}
	return &marketv1.Input{Manifest: packed.Manifest, Path: "/models/new/m", ReadOnly: true, File: true, TotalBytes: packed.Bytes}
}

// publicImage puts an image of the registry into a requester's store, as rigmesh run does,
// and gives a submission that says its registry gives it to everybody; and its layers.
func (n *network) publicImage(into *node.Node, name string) (*leasev1.Submission, []string) {
	n.t.Helper()
	image, err := ociregistry.Open(n.ctx, name, "linux/amd64")
	if err != nil {
		n.t.Fatal(err)
	}
	defer image.Close()
	var layers []string
	for _, b := range image.Blobs() {
		r, err := image.Blob(n.ctx, b.Digest, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if err := into.Store().Put(n.ctx, b.Digest, r); err != nil {
			n.t.Fatal(err)
		}
		_ = r.Close()
		if b.Size > 100_000 {
			layers = append(layers, b.Digest)
		}
	}
	i := image.Image()
	return &leasev1.Submission{
		MaxPrice: 500_000, IntervalMs: 1000, MaxDurationMs: time.Hour.Milliseconds(), WaitMs: patience.Milliseconds(),
		Spec: &marketv1.Spec{
			Version: 1, Command: []string{"sh", "-c", "exit 7"}, Name: "layers",
			Image: &marketv1.Image{
				Digest: i.Digest, MediaType: i.MediaType, SizeBytes: uint64(i.Size), Platform: i.Platform,
				TotalBytes: uint64(image.TotalBytes()), Name: name, Public: true, Layers: uint32(image.Layers()),
			},
			Gpu:       &marketv1.Requirement{Count: 1, AllowSimulated: true},
			Resources: &marketv1.Resources{CpuMillis: 500, MemoryBytes: 64 << 20, Pids: 64, DiskBytes: 64 << 20},
		},
	}, layers
}

// exits follows a job to its end.
func (n *network) exits(at *node.Node, id string, code int32) {
	n.t.Helper()
	for e, err := range at.Requester().Events(n.ctx, id, true) {
		if err != nil {
			n.t.Fatalf("events of job %s: %v", id, err)
		}
		if end := e.GetEnded(); end != nil && end.GetExit().GetCode() != code {
			n.t.Fatalf("job %s: %s; want exit code %d", id, end.Sentence, code)
		}
	}
}
