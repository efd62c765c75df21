//go:build linux

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAWorkerThatIsKilledFetchesTheRestAlone has two nodes share a large file, slowly. The worker is
// killed in the middle, and its requester never has any of it.
func TestAWorkerThatIsKilledFetchesTheRestAlone(t *testing.T) {
	const size, slack = 48 << 20, 17 << 20 // what was on its way, and in memory, may come again
	n := start(t)
	big := n.random("big", size)
	holders := []string{"shed", "cellar"}
	var digest string
	for _, dir := range holders {
		p, err := n.StartWith([]string{"RIGMESH_UPLOAD_MAX=4MiB"}, dir, "node", "--requester", "--data", dir, "--bootstrap", n.bootstrap)
		if err != nil {
			t.Fatal(err)
		}
		n.ready(p, dir)
		r := n.rigmesh("share", "--data", dir, "--bootstrap", n.bootstrap, big)
		if digest = strings.TrimSpace(r.stdout); r.code != 0 {
			t.Fatalf("share: exit %d: %s", r.code, r.stderr)
		}
	}
	job := n.detach("-v", digest+":/in/big", "oci-archive:busybox.tar", "sh", "-c", "wc -c </in/big")
	n.until(func() bool { return n.partial(attic) > size/2 }, func() string { return "nothing comes: " + n.LastWords(attic) })
	if err := n.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	kept := n.partial(attic)
	n.startWorker()
	if r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job); r.code != 0 {
		t.Fatalf("attach exited with %d: %s", r.code, r.stderr)
	}
	if out := strings.TrimSpace(n.rigmesh("logs", "--data", laptop, job).stdout); out != "50331648" {
		t.Errorf("the task counted %q bytes", out)
	}
	var sent int64
	for _, dir := range holders {
		up := n.uploaded(dir)
		if up == 0 {
			t.Errorf("%s gave nothing", dir)
		}
		sent += up
	}
	t.Logf("%d MiB were there when the worker was killed; %d MiB of %d were sent in all", kept>>20, sent>>20, size>>20)
	if sent > size+slack {
		t.Errorf("%d bytes were sent of a file of %d", sent, size)
	}
	if up := n.uploaded(laptop); up > size/4 {
		t.Errorf("the requester sent %d bytes: it has no more than an image", up)
	}
}

// TestAnOutputOfOneJobIsAnInputOfTheNext has it named by the digest that share and describe print.
func TestAnOutputOfOneJobIsAnInputOfTheNext(t *testing.T) {
	n := start(t)
	job := n.detach("-o", "/out:./out", "oci-archive:busybox.tar", "sh", "-c", "echo from the first >/out/text")
	if r := n.rigmesh("attach", "--data", laptop, job); r.code != 0 {
		t.Fatalf("attach exited with %d: %s", r.code, r.stderr)
	}
	r := n.rigmesh("share", "--data", laptop, "--for", "1h", job+":/out")
	digest := strings.TrimSpace(r.stdout)
	if r.code != 0 {
		t.Fatalf("share: exit %d: %s", r.code, r.stderr)
	}
	if d := n.rigmesh("describe", "--data", laptop, job); !strings.Contains(d.stdout, digest) {
		t.Errorf("describe does not name %s:\n%s", digest, d.stdout)
	}
	if r := n.run("-v", digest+":/in:ro", "oci-archive:busybox.tar", "cat", "/in/text"); r.code != 0 || r.stdout != "from the first\n" {
		t.Errorf("the next job exited with %d, %q: %s", r.code, r.stdout, r.stderr)
	}
}

// random makes a file of so many bytes that nobody has.
func (n *network) random(name string, size int64) string {
	n.t.Helper()
	f, err := os.Create(n.Path(name))
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, size)
	}
	if err != nil || f.Close() != nil {
		n.t.Fatal(err)
	}
	return f.Name()
}

// partial is how many bytes a node has of blobs that are not whole.
func (n *network) partial(dir string) (bytes int64) {
	n.t.Helper()
	files, err := filepath.Glob(n.Path(dir, "blobs", "partial", "*"))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil { // or it is whole by now
			bytes += info.Size()
		}
	}
	return bytes
}

// uploaded is how many bytes of images and files others had from a node.
func (n *network) uploaded(dir string) int64 {
	n.t.Helper()
	var st struct {
		Uploaded int64 `json:"uploaded_bytes"`
	}
	r := n.rigmesh("status", "--data", dir, "--json")
	if err := json.Unmarshal([]byte(r.stdout), &st); err != nil {
		n.t.Fatalf("status: %v: %s%s", err, r.stdout, r.stderr)
	}
	return st.Uploaded
}
