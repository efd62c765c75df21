//go:build linux

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// serving is a task without a network that serves a page, an echo and a lot of nothing.
const serving = `mkdir -p /tmp/www && echo "<h1>notebook</h1>" > /tmp/www/index.html
httpd -p 127.0.0.1:80 -h /tmp/www
nc -ll -p 7007 -e cat &
nc -ll -p 9009 -e head -c 268435456 /dev/zero &
for port in 80 7007; do while ! nc 127.0.0.1 $port </dev/null >/dev/null; do sleep 0.1; done; done
echo ready
sleep 600`

// forwarding opens ports of a job until the test has ended, and gives their addresses
// here, and what was said.
func (n *network) forwarding(job string, ports ...string) (addresses []string, said *bufio.Scanner) {
	n.t.Helper()
	cmd := n.Command(n.ctx, append([]string{"port-forward", "--data", laptop, "--json", job}, ports...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	var open []struct{ Local string }
	if err := json.NewDecoder(stdout).Decode(&open); err != nil {
		n.t.Fatal(err)
	}
	for _, o := range open {
		addresses = append(addresses, o.Local)
	}
	return addresses, bufio.NewScanner(stderr)
}

func (n *network) dial(address string) *net.TCPConn {
	n.t.Helper()
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func (n *network) get(address string) string {
	n.t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get("http://" + address + "/index.html")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(page)
}

func TestPortsOfATaskOnAnotherMachineAppearHere(t *testing.T) {
	n := start(t)
	job := n.detach("oci-archive:"+n.Path("busybox.tar"), "sh", "-c", serving)
	n.await(job, "ready")
	hosts, err := net.Listen("tcp4", "127.0.0.1:0") // the worker's owner has services of its own
	if err != nil {
		t.Fatal(err)
	}
	defer hosts.Close()
	theirs := []int{hosts.Addr().(*net.TCPAddr).Port, bootstrapPort(n.bootstrap)}
	at, said := n.forwarding(job, "0:80", "0:7007", "0:9009", fmt.Sprintf("0:%d", theirs[0]), fmt.Sprintf("0:%d", theirs[1]))
	if page := n.get(at[0]); page != "<h1>notebook</h1>\n" {
		t.Errorf("the page is %q", page)
	}
	var used []struct {
		State   string
		Pids    uint64
		Memory  uint64 `json:"memory_bytes"`
		Disk    uint64 `json:"disk_bytes"`
		Devices []struct{ Utilization *uint32 }
	}
	r := n.rigmesh("stats", "--data", laptop, "--json", job)
	if err := json.Unmarshal([]byte(r.stdout), &used); err != nil || len(used) != 1 || used[0].State != "running" || used[0].Pids == 0 || used[0].Memory == 0 ||
		used[0].Disk == 0 || len(used[0].Devices) != 1 || used[0].Devices[0].Utilization == nil {
		t.Errorf("stats: %v, %+v", err, r)
	}
	echo := n.dial(at[1])
	sent := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MiB
	go func() {
		_, _ = io.WriteString(echo, sent)
		_ = echo.CloseWrite()
	}()
	if got, err := io.ReadAll(echo); err != nil || string(got) != sent {
		t.Errorf("%d bytes of %d came back, or others, and %v", len(got), len(sent), err)
	}
	began := time.Now()
	if got, err := io.Copy(io.Discard, n.dial(at[2])); err != nil || got != 256<<20 {
		t.Errorf("%d bytes came, and %v", got, err)
	}
	t.Logf("256 MiB came at %.0f MB/s", 256<<20/time.Since(began).Seconds()/1e6)
	for i, port := range theirs {
		conn, err := net.Dial("tcp4", at[3+i])
		if err == nil {
			_, err = io.ReadAll(conn)
		}
		if err == nil {
			t.Errorf("port %d of the worker's machine answered", port)
		}
		if want := fmt.Sprintf("rigmesh: port %d of the task: nothing in the task listens there", port); !said.Scan() || said.Text() != want {
			t.Errorf("said %q, want %q", said.Text(), want)
		}
	}
	open := n.dial(at[1])
	if r := n.rigmesh("stop", "--data", laptop, "--grace", "1s", job); r.code != 0 {
		t.Errorf("stop: %s", r.stderr)
	}
	_, _ = io.Copy(io.Discard, open) // returns: the connection ends with the task
	if r := n.rigmesh("port-forward", "--data", laptop, job, "0:80"); r.code != 1 || !strings.Contains(r.stderr, "has ended") {
		t.Errorf("port-forward of a job that has ended: %+v", r)
	}
}

var leads = regexp.MustCompile(`(127\.0\.0\.1:\d+) leads to port 80 of the task`)

func TestRunOpensPortsForAsLongAsItRuns(t *testing.T) {
	n := start(t)
	cmd := n.Command(n.ctx, "run", "--data", laptop, "--bootstrap", n.bootstrap, "--simulated", "--interval", "1s", "-p", "0:80",
		"oci-archive:"+n.Path("busybox.tar"), "sh", "-c", serving)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	for said := bufio.NewScanner(stderr); address == "" && said.Scan(); {
		if m := leads.FindStringSubmatch(said.Text()); m != nil {
			address = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	if out := bufio.NewScanner(stdout); !out.Scan() || out.Text() != "ready" {
		t.Fatalf("the task printed %q", out.Text())
	}
	if page := n.get(address); page != "<h1>notebook</h1>\n" {
		t.Errorf("the page is %q", page)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if conn, err := net.Dial("tcp4", address); err == nil {
		_ = conn.Close()
		t.Error("the port is open after run has ended")
	}
}

// bootstrapPort is where the worker's node listens.
func bootstrapPort(address string) int {
	var port int
	for i, part := range strings.Split(address, "/") {
		if i == 4 {
			_, err := fmt.Sscan(part, &port)
			if err != nil {
				panic(errors.Join(err, errors.New(address)))
			}
		}
	}
	return port
}
