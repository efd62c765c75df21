package nvml

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
	"google.golang.org/protobuf/encoding/protodelim"
)

// maxFrame bounds one reply: a specification of 64 devices with their driver's files stays far below.
const maxFrame = 8 << 20

// process is one running helper.
type process struct {
	stdin   io.WriteCloser
	replies chan *nvmlv1.Reply // closed when its output ends
	gone    chan struct{}      // closed by end: nobody reads replies any more
	ended   chan struct{}      // closed once end has seen the process end
	kill    func()             // ends it at once, stopped or hanging as it may be
	wait    func() error       // blocks until it ended, and says how

	ending sync.Once
}

func startProcess(helper string, env []string) (*process, error) {
	cmd := exec.Command(helper)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = ownGroup()
	var complaint tail
	cmd.Stderr = &complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", helper, err)
	}
	p := newProcess(stdin, stdout)
	p.kill = func() { _ = cmd.Process.Kill() }
	p.wait = sync.OnceValue(func() error {
		err := cmd.Wait()
		if said := complaint.String(); said != "" {
			return fmt.Errorf("%w: %s", errors.Join(err), said)
		}
		if err == nil {
			return errors.New("without a word")
		}
		return err
	})
	return p, nil
}

// newProcess reads what comes from a helper until that ends.
func newProcess(stdin io.WriteCloser, stdout io.Reader) *process {
	p := &process{stdin: stdin, replies: make(chan *nvmlv1.Reply), gone: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(p.replies)
		frames := bufio.NewReader(stdout)
		for {
			reply := new(nvmlv1.Reply)
			// Whatever ends the output, the process is of no more use.
			if err := (protodelim.UnmarshalOptions{MaxSize: maxFrame}).UnmarshalFrom(frames, reply); err != nil {
				return
			}
			select {
			case p.replies <- reply:
			case <-p.gone:
				return
			}
		}
	}()
	return p
}

func (p *process) send(req *nvmlv1.Request) error {
	if _, err := protodelim.MarshalTo(p.stdin, req); err != nil {
		return fmt.Errorf("ask the helper: %w", err)
	}
	return nil
}

// dying is how long the end of a process is waited for. One that sleeps in the kernel's
// driver ends when that lets it, if ever, whatever it is sent.
const dying = 2 * time.Second

// end kills the process and waits for it, at most for dying; ended says when it is over.
func (p *process) end() {
	p.ending.Do(func() {
		close(p.gone)
		p.kill()
		_ = p.stdin.Close()
		go func() {
			defer close(p.ended)
			for range p.replies { // until the reader has seen the end
			}
			_ = p.wait()
		}()
		select {
		case <-p.ended:
		case <-time.After(dying):
		}
	})
}

// last is how a process ended whose output has. ErrHang when it does not.
func (p *process) last() error {
	how := make(chan error, 1)
	go func() { how <- p.wait() }()
	select {
	case err := <-how:
		return fmt.Errorf("the helper ended: %w", err)
	case <-time.After(dying):
		return fmt.Errorf("%w: the helper says no more, and does not end", ErrHang)
	}
}

// tail keeps the last of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailBytes = 1 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - tailBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.buf.String())
}
