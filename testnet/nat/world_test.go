//go:build linux

package nat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/testnet/lab"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

const (
	binary   = "../../bin/rigmesh"
	patience = 3 * time.Minute // for one thing to happen; nothing should come near it
)

// world is an internet with two public nodes, of which one relays data, and whoever
// a test adds.
type world struct {
	*lab.Lab
	t     *testing.T
	ctx   context.Context
	net   *Internet
	nodes []string // data directories
	peers map[string]string
}

// newWorld makes one whose relay carries so many bytes of a connection.
func newWorld(t *testing.T, relay int64) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces and containers need root")
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("%s is not built: make build", filepath.Base(binary))
	}
	l, err := lab.New(binary)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Lab: l, t: t, ctx: context.Background(), peers: map[string]string{}}
	t.Cleanup(w.end)
	if w.net, err = New(l); err != nil {
		t.Fatal(err)
	}
	if err := ociimage.Busybox(l.Path("busybox.tar")); err != nil {
		t.Fatal(err)
	}
	w.rent(w.public("hub"), "hub", 0)
	w.rent(w.public("relay"), "relay", relay)
	return w
}

func (w *world) public(name string) string {
	w.t.Helper()
	ns, err := w.net.Public(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return ns
}

func (w *world) site(name string, k Kind, hosts int) []string {
	w.t.Helper()
	namespaces, err := w.net.Site(name, k, hosts)
	if err != nil {
		w.t.Fatal(err)
	}
	return namespaces
}

// rent starts a node that rents, and relays so many bytes.
func (w *world) rent(namespace, name string, relay int64) {
	w.t.Helper()
	w.launch(namespace, name, fmt.Sprintf("RIGMESH_RELAY=%d", relay), "node", "--requester")
}

// lend starts a worker that is found under a region of its own name.
func (w *world) lend(namespace, name string) {
	w.t.Helper()
	if err := os.MkdirAll(w.Path(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.Path(name, "config.yaml"), []byte("region: "+name+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.launch(namespace, name, "RIGMESH_RELAY=0", "up", "--simulate-gpu", "rtx-4090", "--price", "0.25")
}

func (w *world) launch(namespace, name, env string, args ...string) {
	w.t.Helper()
	id, err := w.net.Start(w.ctx, namespace, name, []string{env}, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes = append(w.nodes, name)
	w.peers[name] = id
}

// reach is how a node says that it is reached.
func (w *world) reach(name string) *controlv1.ReachResponse {
	w.t.Helper()
	client, err := control.Dial(w.ctx, w.Path(name))
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	defer client.Close()
	r, err := client.Reach(w.ctx)
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return r
}

// settled waits until strangers can come to a node, directly or through the relay.
func (w *world) settled(name string) {
	w.t.Helper()
	w.await(name+" to be reached", func() bool {
		r := w.reach(name).Reach
		return r != controlv1.Reach_REACH_UNSPECIFIED && r != controlv1.Reach_REACH_NONE
	})
}

// knows waits until a requester has the offers of all workers.
func (w *world) knows(requester string, workers []string) {
	w.t.Helper()
	w.await(requester+" to find "+strings.Join(workers, " "), func() bool {
		out, _, _ := w.rigmesh("offers", "--data", requester, "--wait", "2s", "--json")
		for _, name := range workers {
			if !strings.Contains(out, w.peers[name]) {
				return false
			}
		}
		return true
	})
}

func (w *world) await(what string, is func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	defer func() { w.t.Logf("%.1f s for %s", time.Since(began).Seconds(), what) }()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// way is how a node reaches another now.
func (w *world) way(from, to string) controlv1.Way {
	w.t.Helper()
	for _, p := range w.reach(from).Peers {
		if p.PeerId == w.peers[to] {
			return p.Way
		}
	}
	return controlv1.Way_WAY_UNSPECIFIED
}

// lease runs one job of a requester on a worker, with an input of some MiB that no
// node has seen before, and says how long it took.
func (w *world) lease(requester, worker string, mib int) (time.Duration, error) {
	folder := w.Path(requester + "-input")
	defer os.RemoveAll(folder)
	seed := [32]byte{}
	copy(seed[:], requester+">"+worker)
	content := make([]byte, mib<<20)
	_, _ = rand.NewChaCha8(seed).Read(content) // it never fails
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(folder, "bin"), content, 0o644); err != nil {
		return 0, err
	}
	began := time.Now()
	out, errs, err := w.rigmesh("run", "--data", requester, "--simulated", "--region", worker, "--interval", "1s",
		"-v", folder+":/in:ro", "oci-archive:busybox.tar", "sh", "-c", "wc -c </in/bin")
	took := time.Since(began)
	if err != nil {
		return took, fmt.Errorf("%w: %s", err, errs)
	}
	if got, want := strings.TrimSpace(out), fmt.Sprint(mib<<20); got != want {
		return took, fmt.Errorf("the task read %s bytes of %s", got, want)
	}
	var receipts []struct {
		Lease string `json:"lease_id"`
	}
	out, errs, err = w.rigmesh("receipt", "list", "--data", requester, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &receipts)
	}
	if err != nil || len(receipts) == 0 {
		return took, fmt.Errorf("no receipt: %v: %s%s", err, out, errs)
	}
	return took, nil
}

// rigmesh runs one command to its end, outside of all namespaces: it speaks to a node.
func (w *world) rigmesh(args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	cmd := w.Command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// end stops all nodes and looks at what they left.
func (w *world) end() {
	if w.t.Failed() {
		for _, name := range w.nodes {
			w.t.Logf("%s says %v\n%s", name, w.reach(name), w.LastWords(name))
		}
	}
	for i := len(w.nodes) - 1; i >= 0; i-- {
		if _, errs, err := w.rigmesh("down", "--data", w.nodes[i]); err != nil {
			w.t.Errorf("down %s: %v: %s", w.nodes[i], err, errs)
		}
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		w.t.Error(err)
	}
	if err := w.Clear(); err != nil {
		w.t.Error(err)
	}
	left, err := w.Remains()
	if err != nil || !left.None() {
		w.t.Errorf("left behind: %s, %v", left, err)
	}
}
