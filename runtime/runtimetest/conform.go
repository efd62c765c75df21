package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// Harness is a runtime under test and what the suite needs to know of it.
type Harness struct {
	Runtime runtime.Runtime
	// Image is pulled already and can run scripts.
	Image runtime.Image
	// Command turns a script into what Spec.Command is to be; see the package comment.
	Command func(script []string) []string
	// NotExecutable is a command whose program is there and cannot be executed.
	NotExecutable []string
	// NewImage makes an image that no runtime has pulled yet.
	NewImage func(t *testing.T) (runtime.Image, runtime.BlobSource)
	// Reopen gives another Runtime over the same state.
	Reopen func(t *testing.T) runtime.Runtime
}

// Case is one sentence that holds for every runtime. Run may be called inside a
// testing/synctest bubble when the harness can be.
type Case struct {
	Name string
	Run  func(t *testing.T, h Harness)
}

// Conform runs every case.
func Conform(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, newHarness(t)) })
	}
}

// taskNumber keeps the IDs of one process apart.
var taskNumber atomic.Int64

// start starts a task that is removed with the test.
func (h Harness) start(t *testing.T, spec runtime.Spec, script ...string) string {
	t.Helper()
	if spec.ID == "" {
		spec.ID = fmt.Sprintf("conform-%d", taskNumber.Add(1))
	}
	spec.Image = h.Image
	if len(script) > 0 {
		spec.Command = h.Command(script)
	}
	if err := h.Runtime.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Runtime.Remove(context.WithoutCancel(t.Context()), spec.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return spec.ID
}

func (h Harness) wait(t *testing.T, id string) runtime.Exit {
	t.Helper()
	exit, err := h.Runtime.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if exit.Started.IsZero() || exit.Ended.Before(exit.Started) {
		t.Errorf("task ran from %v to %v", exit.Started, exit.Ended)
	}
	return exit
}

// read reads an output to its end.
func (h Harness) read(t *testing.T, id string, s runtime.Stream, offset int64, follow bool) string {
	t.Helper()
	r, err := h.Runtime.Output(t.Context(), id, s, offset, follow)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ready waits until a task has printed something.
func (h Harness) ready(t *testing.T, id string) {
	t.Helper()
	r, err := h.Runtime.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatalf("task said nothing: %v", err)
	}
}

func (h Harness) state(t *testing.T, id string) runtime.State {
	t.Helper()
	s, err := h.Runtime.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// Cases are the whole suite.
func Cases() []Case {
	return []Case{
		{"the exit code arrives", exitCodes},
		{"a program that is missing exits with 127 and one that cannot be executed with 126", notStarted},
		{"the two outputs are kept apart and can be read from an offset", outputs},
		{"a followed output ends when the task does", follows},
		{"a followed output ends when its reader goes away", unfollows},
		{"a task that handles SIGTERM ends as it wishes", stopHandled},
		{"a task that ignores SIGTERM is killed after grace", stopIgnored},
		{"stopping an ended task is no error", stopEnded},
		{"a task that handles the warning hears it", warned},
		{"a task that does not handle the warning goes on", notWarned},
		{"a program in a task has its own outputs and exit code", execs},
		{"a program can be run in a task as soon as it was started", execsAtOnce},
		{"a program in a task that is missing exits with 127 and one that cannot be executed with 126", execsNothing},
		{"a program in a task reads what it is given to the end", execReads},
		{"a program in a task has the task's environment and its own over it", execEnvironment},
		{"a program in a task is sent signals", execSignalled},
		{"a program in a task ends with it", execEndsWithTask},
		{"a program in a task ends when its caller goes away", execEndsWithCaller},
		{"a task's files are packed, and unpacked in it", execCarries},
		{"a task's own program reads what it is given to the end", attachReads},
		{"a task's own program can be attached to as soon as it was started", attachAtOnce},
		{"a task's own program has a terminal that can be left and come back to", attachTerminal},
		{"nobody attaches to a task without input, or that has ended or never was", attachNowhere},
		{"no program runs in a task that is frozen, has ended or never was", execNowhere},
		{"a paused task does nothing until it is resumed", pauses},
		{"a paused task can be stopped", stopPaused},
		{"mounts carry files in and out and respect read-only", mounts},
		{"a file can be mounted alone, and is read-only", fileMounts},
		{"a task has folders of its own until it is removed", ownFolders},
		{"what a task writes to a private mount stays with the task", privateMounts},
		{"what a task writes to a private file stays with the task", privateFiles},
		{"a port that a task listens on can be dialled", dials},
		{"a port that nothing listens on, or of a task that does not run, says so", dialsNothing},
		{"a connection to a port ends with the task", dialsEnd},
		{"what a task uses is told while it runs", uses},
		{"environment reaches the task", environment},
		{"an ID is taken until its task is removed", ids},
		{"what is not there is not found", notFound},
		{"removing twice is no error and leaves nothing", removes},
		{"two can wait for one task", waitTwice},
		{"a wait ends with its context", waitEnds},
		{"every task is listed as it stands", lists},
		{"a reopened runtime sees tasks with exit and output", reopens},
		{"an image that was not pulled cannot be started", notPulled},
		{"a pull that was cut off goes on where it stopped", resumesPull},
		{"a blob with the wrong digest is refused", wrongDigest},
		{"an image is listed until it is let go of, and can be pulled again", forgets},
		{"an image is there for those alone that gave it", onlyForHolders},
		{"nobody goes on with what another's pull began", noCommonParts},
		{"an image that everybody gets where it is from is there for everybody", forEverybody},
		{"two pulls of one image at once both succeed", pullsTogether},
	}
}
