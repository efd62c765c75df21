package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Connect leads to the fake job: port 8888 gives back what comes, 9999 is cut at once, and
// nothing listens on others.
func (f *fakeNode) Connect(_ context.Context, id string, port uint32) (control.Link, error) {
	if err := f.find(id); err != nil {
		return nil, err
	}
	near, far := session.Pipe("", "")
	go func() {
		defer far.Close()
		fakePort(far, port)
	}()
	return near, nil
}

func fakePort(link *session.PipeEnd, port uint32) {
	if port != 8888 && port != 9999 {
		_ = link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Refused{Refused: &leasev1.PortRefused{
			Reason: leasev1.PortRefusal_PORT_REFUSAL_CLOSED, Sentence: "nothing in the task listens there\x1b[2J"}}})
		return
	}
	_ = link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Opened{Opened: &leasev1.PortOpened{}}})
	if port == 9999 {
		link.Reset()
		return
	}
	for {
		var m leasev1.PortFrame
		if link.Recv(&m) != nil || link.Send(&m) != nil || m.GetEnd() != nil {
			return
		}
	}
}

func TestPortsAreWrittenAsDockerWritesThem(t *testing.T) {
	for text, want := range map[string]string{
		"8888": "127.0.0.1:8888 to 8888", "8080:80": "127.0.0.1:8080 to 80", "0:80": "127.0.0.1:0 to 80",
		"0.0.0.0:8080:80": "0.0.0.0:8080 to 80", "[::1]:8080:80": "[::1]:8080 to 80", "127.0.0.1:80:80": "127.0.0.1:80 to 80",
	} {
		f, err := parseForward(text)
		if got := fmt.Sprintf("%s to %d", f.at, f.remote); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
		if again, err := parseForward(f.String()); err != nil || again != f {
			t.Errorf("%s written as %s is %v, %v", text, f, again, err)
		}
	}
	for _, text := range []string{"", "0", "80:0", "65536", "a", "80:", ":80", "host:80:80", "1:2:3:4", "-1"} {
		if f, err := parseForward(text); err == nil {
			t.Errorf("%q is %v", text, f)
		}
	}
}

func TestPortsOfAJobFileComeThroughTheNode(t *testing.T) {
	var j jobFile
	if err := yaml.Unmarshal([]byte("ports: [8888, \"8080:80\", 192.0.2.7:1:2]"), &j); err != nil {
		t.Fatal(err)
	}
	kept, err := forwardsOf(j.Ports.messages())
	if err != nil || cmp.Diff(fmt.Sprint(j.Ports), fmt.Sprint(kept)) != "" || len(kept) != 3 {
		t.Errorf("%v became %v, %v", j.Ports, kept, err)
	}
	if _, err := forwardsOf([]*leasev1.Forward{{Address: "127.0.0.1", Local: 1 << 16}}); err == nil {
		t.Error("a port that cannot be was taken")
	}
}

// forwarding runs port-forward with two ports until the test has ended, and gives their addresses.
func (f *fakeNode) forwarding(t *testing.T, ports ...string) (addresses []string, stderr *lines) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	stderr = &lines{written: make(chan string, 16)}
	k := console{in: strings.NewReader(""), out: in, err: stderr, getenv: func(name string) string {
		return map[string]string{"RIGMESH_DATA": f.dir}[name]
	}}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, k, append([]string{"rigmesh", "port-forward", "--json", "3f2a"}, ports...))
		_ = in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("port-forward: %v", err)
		}
	})
	var views []forwardView
	if err := json.NewDecoder(out).Decode(&views); err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		addresses = append(addresses, v.Local)
	}
	return addresses, stderr
}

// lines tells of every write.
type lines struct{ written chan string }

func (l *lines) Write(p []byte) (int, error) {
	l.written <- string(p)
	return len(p), nil
}

func dialTCP(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func TestAForwardedPortCarriesConnections(t *testing.T) {
	f := startFakeNode(t)
	f.stopped = []*leasev1.JobEvent{} // the job goes on
	at, stderr := f.forwarding(t, "0:8888", "0:22", "0:9999")
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 3 {
		conn := dialTCP(t, at[0])
		go func() {
			_, _ = conn.Write(sent)
			_ = conn.CloseWrite()
		}()
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes of %d came back, or others, and %v", len(got), len(sent), err)
		}
	}
	for port, want := range map[string]string{at[1]: "port 22 of the task: nothing in the task listens there[2J\n", at[2]: "port 9999 of the task: the connection "} {
		conn, err := net.Dial("tcp", port) // it may be cut before this has noticed that it was taken
		if err == nil {
			_, err = io.ReadAll(conn)
		}
		if err == nil {
			t.Errorf("%s: it ended as if nothing had happened", port)
		}
		if said := <-stderr.written; !strings.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
}

func TestPortForwardNamesWhatIsWrong(t *testing.T) {
	f := startFakeNode(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, number, _ := net.SplitHostPort(taken.Addr().String())
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"77aa", "80"}, "not found", 1},
		{[]string{"3f2a", "http"}, `port "http": want [LOCAL:]REMOTE`, 2},
		{[]string{"3f2a"}, "came without ports", 2},
		{[]string{"3f2a", number}, "port 127.0.0.1:" + number + " of this machine is taken", 1},
	} {
		_, stderr, code := f.rigmesh(append([]string{"port-forward"}, c.args...)...)
		if !strings.Contains(stderr, c.want) || code != c.code {
			t.Errorf("port-forward %q: %d, %s", c.args, code, stderr)
		}
	}
	f.events = []*leasev1.JobEvent{{Event: &leasev1.JobEvent_Ended{Ended: &leasev1.JobEnded{}}}}
	if _, stderr, code := f.rigmesh("port-forward", "3f2a", "80"); code != 1 || !strings.Contains(stderr, "has ended") {
		t.Errorf("of a job that has ended: %d, %s", code, stderr)
	}
}
