package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// image makes an archive and gives its reference.
func image(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := writeArchive(path); err != nil {
		t.Fatal(err)
	}
	return archivePrefix + path
}

// write makes a file and the folders above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// output puts a folder with one file into the node's store, as a task's output.
func (f *fakeNode) output(t *testing.T, path, file, text string) *leasev1.Output {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, file), text)
	packed, err := tree.PackDir(context.Background(), dir, tree.ToStore(f.Store), tree.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &leasev1.Output{Path: path, Manifest: packed.Manifest, TotalBytes: packed.Bytes}
}

func TestRunBringsEverythingThereAndOutputsBack(t *testing.T) {
	f := startFakeNode(t)
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "deep", "out")
	write(t, filepath.Join(in, "a", "data.txt"), "input")
	f.stdout, f.stderr = "hello\n", "warning\n"
	f.events = []*leasev1.JobEvent{
		bidEvent(300_000), leaseEvent(), phaseEvent(leasev1.Phase_PHASE_PULLING), phaseEvent(leasev1.Phase_PHASE_RUNNING),
		beatEvent(42_000, 3500), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{}, f.output(t, "/out", "r/result.txt", "result")),
	}
	stdout, stderr, code := f.rigmesh("run", "--vram", "24GiB", "-v", in+":/data:ro", "-o", "/out:"+out, "-e", "A=1,2", "--timeout", "90s", "--worker", "peer", image(t), "prog", "-x")
	if code != 0 || stdout != "hello\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if got := read(t, filepath.Join(out, "r", "result.txt")); got != "result" {
		t.Errorf("output %q", got)
	}
	if _, err := os.Stat(out + ".partial"); err == nil {
		t.Error("the partial folder is still there")
	}
	for _, want := range []string{
		"rigmesh: bid from eWorker1: rtx-4090 (simulated) at 0.30 credits per GPU-hour, starts in 2s\n",
		"rigmesh: leased from eWorker1 at 0.30 credits per GPU-hour, lease 77aa0000\n",
		"rigmesh: bringing image and inputs to the worker\n",
		"warning\n",
		"rigmesh: exit code 0, 42s credited, 0.0035 credits; receipt: rigmesh receipt show 77aa0000\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr has no %q:\n%s", want, stderr)
		}
	}
	f.checkSubmission(t)
}

// checkSubmission looks at what the node was given in the test above.
func (f *fakeNode) checkSubmission(t *testing.T) {
	t.Helper()
	s := f.submission.GetSpec()
	if diff := cmp.Diff([]string{"prog", "-x"}, s.Command); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"A=1,2"}, s.Env); diff != "" {
		t.Error(diff)
	}
	if s.Gpu.Count != 1 || s.Gpu.VramBytes != 24<<30 || f.submission.MaxPrice != 500_000 || f.submission.Worker != "peer" {
		t.Errorf("submission: %v", f.submission)
	}
	if s.TimeoutMs != 90_000 || f.submission.MaxDurationMs != 90_000 {
		t.Errorf("timeout %d ms, lease of %d ms", s.TimeoutMs, f.submission.MaxDurationMs)
	}
	if len(s.Inputs) != 1 || s.Inputs[0].Path != "/data" || !s.Inputs[0].ReadOnly || !f.Has(s.Inputs[0].Manifest) || !f.Has(s.Image.Digest) {
		t.Errorf("inputs %v, image %v", s.Inputs, s.Image)
	}
	m, err := tree.ReadManifest(context.Background(), f.Store, s.Inputs[0].Manifest, tree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Entries {
		if !e.Directory && !f.Has(e.Digest) {
			t.Errorf("the node does not have %s", e.Path)
		}
	}
}

func TestLayersAreToldOfOneByOneAndNotOftener(t *testing.T) {
	f := startFakeNode(t)
	part := func(digest string, from leasev1.Origin, done uint64) *leasev1.JobEvent {
		return &leasev1.JobEvent{Event: &leasev1.JobEvent_Progress{Progress: &leasev1.Progress{
			Phase: leasev1.Phase_PHASE_PULLING, DoneBytes: done, TotalBytes: 3 << 20,
			Layer: &leasev1.Layer{Digest: digest, DoneBytes: done, TotalBytes: 1 << 20, Origin: from},
		}}}
	}
	first, second := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)
	f.events = []*leasev1.JobEvent{
		leaseEvent(), phaseEvent(leasev1.Phase_PHASE_PULLING),
		part(first, leasev1.Origin_ORIGIN_PEERS, 1000), part(first, leasev1.Origin_ORIGIN_PEERS, 500_000),
		part(first, leasev1.Origin_ORIGIN_REGISTRY, 1<<20), part(second, leasev1.Origin_ORIGIN_REQUESTER, 3<<20),
		phaseEvent(leasev1.Phase_PHASE_RUNNING), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{}),
	}
	_, stderr, _ := f.rigmesh("run", image(t), "prog")
	want := "rigmesh: layer abababab, 1 MiB, from other workers\nrigmesh: layer abababab, 1 MiB, from its registry\nrigmesh: layer cdcdcdcd, 1 MiB, from you\nrigmesh: running\n"
	if !strings.Contains(stderr, want) {
		t.Errorf("stderr is\n%s\nwithout\n%s", stderr, want)
	}
	stdout, _, _ := f.rigmesh("describe", fakeJob)
	for _, line := range []string{"layer abababab, 1 MiB, from other workers", "layer cdcdcdcd, 1 MiB, from you"} {
		if strings.Count(stdout, line) != 1 {
			t.Errorf("describe has no %q, or oftener:\n%s", line, stdout)
		}
	}
}

func TestExitCodeOfRunIsTheTasksOrSaysWhoFailed(t *testing.T) {
	for _, test := range []struct {
		name string
		end  *leasev1.JobEvent
		code int
		says string
	}{
		{"the task's own", endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 7}), 7, "exit code 7"},
		{"not found", endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 127, Error: "no such program"}), 127, "exit code 127: no such program"},
		{"killed for memory", endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 137, Oom: true}), 137, "out of memory"},
		{"out of time", endEvent(leasev1.Outcome_OUTCOME_TIMEOUT, &leasev1.Exit{Code: 143}), 124, "the job ran out of time"},
		{"stopped", endEvent(leasev1.Outcome_OUTCOME_STOPPED, &leasev1.Exit{Code: 143}), 143, ""},
		{"stopped before it ran", endEvent(leasev1.Outcome_OUTCOME_STOPPED, nil), 130, ""},
		{"worker gone", endEvent(leasev1.Outcome_OUTCOME_LAPSED, nil), 125, "the worker went silent"},
		{"our failure", endEvent(leasev1.Outcome_OUTCOME_FAILED, nil), 125, "the job failed"},
	} {
		f := startFakeNode(t)
		f.events = []*leasev1.JobEvent{test.end}
		_, stderr, code := f.rigmesh("run", image(t))
		if code != test.code || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: exit code %d, %s", test.name, code, stderr)
		}
	}
}

func TestNoBidIsExplained(t *testing.T) {
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{
		declineEvent("a", &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_PRICE, Price: 900_000}),
		declineEvent("a", &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_PRICE, Price: 800_000}), // asked again
		declineEvent("b", &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_PRICE, Price: 700_000}),
		declineEvent("c", &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_POLICY, Text: "go\x1b[2J away"}),
		endEvent(leasev1.Outcome_OUTCOME_NO_BID, nil),
	}
	_, stderr, code := f.rigmesh("run", "--max-price", "0.60", image(t))
	if code != 125 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"2        price floors 0.70 to 0.80 > your 0.60  offer at least 0.70\n",
		"rigmesh: error: no bid: 3 workers declined: 2 price floors 0.70 to 0.80 > your 0.60",
		"rigmesh: hint: offer at least 0.70",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr has no %q:\n%s", want, stderr)
		}
	}
	f.events = f.events[4:]
	if _, stderr, _ = f.rigmesh("run", image(t)); !strings.Contains(stderr, "no bid: nobody answered") {
		t.Error(stderr)
	}
}

func TestQuietRunPrintsOnlyTheTasksOutput(t *testing.T) {
	f := startFakeNode(t)
	f.stdout, f.stderr = "out", "err"
	f.events = []*leasev1.JobEvent{bidEvent(1), leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 3})}
	stdout, stderr, code := f.rigmesh("run", "-q", image(t))
	if stdout != "out" || stderr != "err" || code != 3 {
		t.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
}

func TestDetachedRunPrintsTheJobsIDAndLeavesIt(t *testing.T) {
	f := startFakeNode(t)
	f.stopped = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_STOPPED, nil)} // never told
	stdout, _, code := f.rigmesh("run", "-dq", image(t))
	if stdout != fakeJob+"\n" || code != 0 {
		t.Errorf("stdout %q, exit code %d", stdout, code)
	}
}

func TestInterruptAsksTheTaskToStop(t *testing.T) {
	f := startFakeNode(t)
	f.stopped = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_STOPPED, &leasev1.Exit{Code: 143})}
	f.events = []*leasev1.JobEvent{leaseEvent()}
	sent := make(chan struct{})
	interruptSelf := func() {
		defer close(sent)
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}
	k := console{in: strings.NewReader(""), out: &onWrite{}, err: &onWrite{when: "leased from", do: interruptSelf}, getenv: func(string) string { return "" }}
	err := run(context.Background(), k, []string{"rigmesh", "--data", f.dir, "run", image(t)})
	<-sent
	if code := exitCode(os.Stderr, err); code != 143 {
		t.Errorf("exit code %d: %v", code, err)
	}
	if abandon := <-f.stops; abandon {
		t.Error("the first interrupt gave the lease up")
	}
	if errs := k.err.(*onWrite).text.String(); !strings.Contains(errs, "asked the task to stop; again to give the lease up") {
		t.Error(errs)
	}
}

// onWrite does something when a text is written.
type onWrite struct {
	text strings.Builder
	when string
	do   func()
}

func (w *onWrite) Write(p []byte) (int, error) {
	w.text.Write(p)
	if w.do != nil && strings.Contains(string(p), w.when) {
		do := w.do
		w.do = nil
		do()
	}
	return len(p), nil
}

func TestAttachShowsTheJobAndFetchesOutputs(t *testing.T) {
	f := startFakeNode(t)
	f.stdout = "hello\n"
	f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 2}, f.output(t, "/out", "x", "new"))}
	out := t.TempDir()
	write(t, filepath.Join(out, "mine"), "kept")
	write(t, filepath.Join(out, "x"), "old")
	if _, stderr, code := f.rigmesh("attach", "-o", "/out:"+out, "3f2a"); code != 125 || !strings.Contains(stderr, "is not empty") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	stdout, stderr, code := f.rigmesh("attach", "-o", "/out:"+out, "--overwrite", "3f2a")
	if code != 2 || stdout != "hello\n" {
		t.Errorf("exit code %d, stdout %q, %s", code, stdout, stderr)
	}
	if read(t, filepath.Join(out, "mine")) != "kept" || read(t, filepath.Join(out, "x")) != "new" {
		t.Error("overwriting replaced what it should not, or nothing")
	}
	if _, stderr, code := f.rigmesh("attach", "ffff"); code != 125 || !strings.Contains(stderr, `job "ffff": not found`) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
