//go:build linux

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// TestAJobRunsFromARegistry runs an image as docker run would name it, out of Debian's
// docker-registry, which wants a password.
func TestAJobRunsFromARegistry(t *testing.T) {
	if _, err := exec.LookPath("docker-registry"); err != nil {
		t.Skip("docker-registry is not installed (Debian has it in docker-registry)")
	}
	n := start(t)
	n.write("registry/users", "me:"+secretHash+"\n")
	host := n.registry(fmt.Sprintf("auth: {htpasswd: {realm: lab, path: %q}}", n.Path("registry/users")))
	name := host + "/team/busybox:1.36"

	r := n.run(name, "true")
	if r.code != 125 || !strings.Contains(r.stderr, "denies access to "+name) || !strings.Contains(r.stderr, "docker login "+host) {
		t.Errorf("without a login: exit %d: %s", r.code, r.stderr)
	}
	n.login(host)
	o := ociimage.BusyboxOptions()
	o.Docker = true
	if err := ociimage.PushBusybox(n.ctx, name, o, "linux/arm64", "linux/amd64"); err != nil {
		t.Fatal(err)
	}

	r = n.run(name, "sh", "-c", "echo from a registry; exit 7")
	if r.code != 7 || r.stdout != "from a registry\n" || !strings.Contains(r.stderr, "downloading "+name) {
		t.Fatalf("exit %d, stdout %q, stderr %s", r.code, r.stdout, r.stderr)
	}
	var jobs []struct{ Job string }
	if err := json.Unmarshal([]byte(n.rigmesh("ps", "--data", laptop, "--all", "--json").stdout), &jobs); err != nil || len(jobs) != 1 {
		t.Fatalf("ps: %v, %v", jobs, err)
	}
	if text, same := n.receipts(jobs[0].Job); !same || !strings.Contains(text, "exit       7") {
		t.Errorf("the two sides hold different receipts, or not of this:\n%s", text)
	}

	n.layersGone(host)
	if r = n.run(name, "sh", "-c", "echo again"); r.code != 0 || r.stdout != "again\n" || strings.Contains(r.stderr, "downloading") {
		t.Errorf("what is here already is fetched again: exit %d: %s", r.code, r.stderr)
	}
	if r = n.run(host+"/team/busybox:2", "true"); r.code != 125 || !strings.Contains(r.stderr, "no such image") {
		t.Errorf("a tag that is not there: exit %d: %s", r.code, r.stderr)
	}
}

// secretHash is what htpasswd keeps of the password "secret".
const secretHash = "$2a$04$f9zODz22G5tSbSlJbpk2qOPJimZBp60w.MEXyFiNYL8W6RnRgVqnm"

// registry starts a real registry on loopback, with more in its configuration, and gives its host.
func (n *network) registry(more string) string {
	n.t.Helper()
	host := freeAddress(n.t)
	n.write("registry/config.yml", fmt.Sprintf(`version: 0.1
storage:
  filesystem:
    rootdirectory: %s
http:
  addr: %s
%s
`, n.Path("registry/data"), host, more))
	log, err := os.Create(n.Path("registry/log"))
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", n.Path("registry/config.yml"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
	n.awaitRegistry(host)
	return host
}

// freeAddress is one on loopback that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (n *network) awaitRegistry(host string) {
	n.t.Helper()
	client := http.Client{Timeout: patience}
	n.until(func() bool {
		resp, err := client.Get("http://" + host + "/v2/")
		return err == nil && resp.Body.Close() == nil
	}, func() string {
		log, _ := os.ReadFile(n.Path("registry/log"))
		return "the registry does not answer: " + string(log)
	})
}

// login gives rigmesh credentials as docker login leaves them.
func (n *network) login(host string) {
	n.t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte("me:secret"))
	n.write("docker/config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth))
	n.t.Setenv("DOCKER_CONFIG", n.Path("docker"))
}

// layersGone takes all layers from the registry; what names them stays.
func (n *network) layersGone(host string) {
	n.t.Helper()
	blobs, err := filepath.Glob(n.Path("registry/data/docker/registry/v2/blobs/sha256/*/*/data"))
	if err != nil || len(blobs) == 0 {
		n.t.Fatalf("registry %s has no blobs: %v", host, err)
	}
	for _, b := range blobs {
		info, err := os.Stat(b)
		if err != nil {
			n.t.Fatal(err)
		}
		if info.Size() < 100_000 {
			continue // a manifest or config
		}
		if err := os.Remove(b); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *network) write(name, text string) {
	n.t.Helper()
	n.mkdir(filepath.Dir(name))
	if err := os.WriteFile(n.Path(name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}
