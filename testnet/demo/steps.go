//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// requester is the data directory of the one who has something to compute.
const requester = "laptop"

// workers are three machines with different cards and prices.
var workers = []struct{ name, gpu, price string }{
	{"attic", "rtx-4090:2", "0.35"},
	{"garage", "rtx-3090:1", "0.20"},
	{"shed", "rtx-3060:6", "0.09"},
}

// all shows the whole thing.
func (s *show) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.startWorkers, s.findOffers, s.runJob, s.exitCodes, s.checkReceipt,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startWorkers starts three nodes that know one address between them.
func (s *show) startWorkers(ctx context.Context) error {
	s.title("Three workers. The second and third know one address, that of the first")
	for _, w := range workers {
		args := []string{"up", "--data", w.name, "--listen", "/ip4/127.0.0.1/tcp/0", "--simulate-gpu", w.gpu, "--price", w.price}
		if s.bootstrap != "" {
			args = append(args, "--bootstrap", s.bootstrap)
		}
		if err := s.startNode(ctx, w.name, args); err != nil {
			return err
		}
	}
	return nil
}

// startNode starts a node in the background and waits until it answers.
func (s *show) startNode(ctx context.Context, name string, args []string) error {
	fmt.Println("\n$", typed(args), "&")
	p, err := s.lab.Start(name, args...)
	if err != nil {
		return err
	}
	s.nodes = append(s.nodes, name)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	status, err := s.lab.Ready(ctx, p, name)
	if err != nil {
		return err
	}
	if len(status.Addresses) == 0 {
		return fmt.Errorf("%s has no address", name)
	}
	if s.bootstrap == "" {
		s.bootstrap = status.Addresses[0]
	}
	fmt.Printf("  pid %d, address %s\n", status.Pid, status.Addresses[0])
	return nil
}

// findOffers waits until the requester has found all three, and shows them.
func (s *show) findOffers(ctx context.Context) error {
	s.title("A requester, which knows the same one address, finds all three")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	s.nodes = append(s.nodes, requester)
	for {
		out, err := s.output(ctx, "offers", "--data", requester, "--bootstrap", s.bootstrap, "--wait", "1s", "--json")
		if err != nil {
			return err
		}
		var found []struct{ Worker string }
		if err := json.Unmarshal(out, &found); err != nil {
			return fmt.Errorf("offers --json: %w: %s", err, out)
		}
		if len(found) >= len(workers) {
			break
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("found too few workers in time: %s", out)
		}
	}
	return s.must(ctx, "offers", "--data", requester, "--bootstrap", s.bootstrap)
}

// script is what the job does: it counts, packs and sums up the files it was
// given, slowly enough for some heartbeats.
const script = `cd /in
for f in *; do
  echo "$f: $(wc -w <"$f") words"
  gzip -c "$f" >"/out/$f.gz"
  sha256sum "$f" >>/out/SHA256SUMS
  sleep 1
done
echo "that was all" >&2`

func (s *show) runJob(ctx context.Context) error {
	s.title("A job: an image with busybox in it, a folder of texts in, a folder of results out")
	if err := ociimage.Busybox(s.lab.Path("busybox.tar")); err != nil {
		return err
	}
	if err := makeInput(s.lab.Path("texts"), s.tree); err != nil {
		return err
	}
	err := s.must(ctx, "run", "--data", requester, "--broadcast", "--simulated", "--interval", "1s",
		"-v", "./texts:/in:ro", "-o", "/out:./results", "oci-archive:busybox.tar", "sh", "-c", script)
	if err != nil {
		return err
	}
	n, err := checkResults(s.lab.Path("texts"), s.lab.Path("results"))
	if err != nil {
		return err
	}
	fmt.Printf("\nresults/ holds %d packed files and their sums; unpacked they are what went in.\n", n)
	return nil
}

func (s *show) exitCodes(ctx context.Context) error {
	s.title("The exit code is the job's own")
	code, err := s.run(ctx, "run", "--data", requester, "--simulated", "--interval", "1s",
		"oci-archive:busybox.tar", "sh", "-c", "exit 7")
	if err != nil {
		return err
	}
	fmt.Println("$ echo $?")
	fmt.Println(code)
	if code != 7 {
		return fmt.Errorf("the job exits with 7, and rigmesh run exited with %d", code)
	}
	return s.must(ctx, "ps", "--data", requester, "--all")
}

// checkReceipt checks a receipt without any node, as it is and with one bit changed.
func (s *show) checkReceipt(ctx context.Context) error {
	s.title("The receipt: both signed it, anyone can check it, nobody can change it")
	id, err := s.longestLease(ctx)
	if err != nil {
		return err
	}
	if err := s.must(ctx, "receipt", "export", "--data", requester, id, "lease.receipt"); err != nil {
		return err
	}
	if err := s.must(ctx, "receipt", "verify", "lease.receipt"); err != nil {
		return err
	}
	receipt, err := os.ReadFile(s.lab.Path("lease.receipt"))
	if err != nil {
		return err
	}
	receipt[len(receipt)/2] ^= 1
	if err := os.WriteFile(s.lab.Path("changed.receipt"), receipt, 0o644); err != nil {
		return err
	}
	fmt.Printf("\nchanged.receipt is the same file with one bit of byte %d turned over.\n", len(receipt)/2)
	code, err := s.run(ctx, "receipt", "verify", "changed.receipt")
	if err == nil && code == 0 {
		err = errors.New("a changed receipt was accepted")
	}
	return err
}

// receiptLine is one of `rigmesh receipt list --json`.
type receiptLine struct {
	Lease    string `json:"lease"`
	CreditMS uint64 `json:"credit_ms"`
}

// longestLease is the id of the lease with the most time served.
func (s *show) longestLease(ctx context.Context) (string, error) {
	out, err := s.output(ctx, "receipt", "list", "--data", requester, "--json")
	if err != nil {
		return "", err
	}
	var receipts []receiptLine
	if err := json.Unmarshal(out, &receipts); err != nil {
		return "", fmt.Errorf("receipt list --json: %w: %s", err, out)
	}
	if len(receipts) == 0 {
		return "", errors.New("the requester holds no receipt")
	}
	longest := slices.MaxFunc(receipts, func(a, b receiptLine) int { return cmp.Compare(a.CreditMS, b.CreditMS) })
	return longest.Lease, nil
}
