// Package runtime is the vocabulary of running a task: what to run, how it
// stands, how it ended, and the interface every runtime implements.
//
// The in-memory runtime and the conformance suite are in runtimetest; the real
// one is in containerd. This package knows neither leases nor peers.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors a caller decides on.
var (
	// ErrNotFound: there is no task of that ID, or no such blob.
	ErrNotFound = errors.New("no such task")
	// ErrExists: a task of that ID exists already.
	ErrExists = errors.New("task exists")
	// ErrImage: the image is not usable: a missing platform, a wrong digest, a broken layer.
	ErrImage = errors.New("unusable image")
	// ErrPlatform: the image has nothing for the platform. It is an ErrImage too.
	ErrPlatform = fmt.Errorf("%w: wrong platform", ErrImage)
	// ErrUnpack: a layer of the image cannot be unpacked. It is an ErrImage too.
	ErrUnpack = fmt.Errorf("%w: broken layer", ErrImage)
	// ErrNoSpace: the host has no room for the image or the task.
	ErrNoSpace = errors.New("no space left")
)

// Image names an OCI image by content.
type Image struct {
	Digest    string // of the index or manifest: "sha256:…"
	MediaType string // of that blob
	Size      int64  // of that blob, in bytes
	Platform  string // "linux/amd64"
	// For is who it is for, a peer say. Knowing a digest is no right to what it is of: what came from
	// somebody else is not here for them, unless anybody gets it. Empty: whoever names nobody.
	For string
}

// Mount is a folder in a task.
type Mount struct {
	// Source is a folder of the host, absolute; its owner becomes the task's user. Empty:
	// a new folder of the task's own, on its disk; Folder says where.
	Source string
	Target string // absolute, in the task
	// File is the name of a file right in Source that is mounted instead of it.
	File string
	// ReadOnly refuses writes.
	ReadOnly bool
	// Private keeps what the task writes on its own disk, and the source as it is.
	Private bool
}

// Writable says whether the task may write there. A single file of the host it may not, but for a copy of its own.
func (m Mount) Writable() bool { return !m.ReadOnly && (m.File == "" || m.Private) }

// Limits bound what a task may use of its host. Zero means the runtime's default, never "unlimited".
type Limits struct {
	CPUMillis   uint64 // 1000 is one core
	MemoryBytes uint64 // RAM and swap together
	DiskBytes   uint64 // writable root, own folders and private mounts together; files are limited in proportion
	Pids        uint32
	IOBytes     uint64 // a second, from and to its disk, each
}

// Egress is what a task may reach of a network. The zero value: nothing.
type Egress struct {
	Public bool     // all of the public internet but mail servers
	Hosts  []string // these names there alone; "*.example.org" is every name below example.org
}

// None says whether a task reaches nothing.
func (e Egress) None() bool { return !e.Public && len(e.Hosts) == 0 }

// Devices are what a task needs of its host to use the devices it was lent. What
// is not named is not there.
type Devices struct {
	Nodes []File   // device files, to read and write; everybody on the host may
	Files []File   // of a driver: read-only
	Env   []string // NAME=value, over the image's and under the spec's
}

// File is one file of the host in a task.
type File struct {
	Source string // absolute, on the host
	Target string // absolute, in the task
}

// Spec is one task.
type Spec struct {
	ID         string // [a-z0-9-], at most 64 bytes, unique in the runtime
	Image      Image
	Entrypoint []string // replaces the image's when set
	Command    []string // replaces the image's when set
	Env        []string // NAME=value, over the image's
	Workdir    string   // empty: the image's
	User       string   // empty: the image's
	Mounts     []Mount
	Limits     Limits
	Devices    Devices
	Egress     Egress
	// ReadOnlyRoot leaves writable only mounts, the image's volumes, /tmp and /dev/shm.
	ReadOnlyRoot bool
	Stdin        bool // its program reads what Attach gives it; without, it finds nothing
	Terminal     bool // its program runs on a terminal; all that it writes there is on Stdout
}

// State is where a task stands.
type State uint8

// The states of a task.
const (
	Created State = iota + 1
	Running
	Paused
	Exited
)

// Status is what a runtime knows of a task.
type Status struct {
	ID          string
	State       State
	Exit        Exit // when Exited
	CPUTime     time.Duration
	MemoryBytes uint64
}

// Exit is how a task ended. 126 means the program could not be executed, 127 that
// it was not found, 125 that the runtime itself failed (Error says how).
type Exit struct {
	Code    int // 0–255; 128+n when signal n ended it
	Signal  int // 0 when none did
	OOM     bool
	Full    bool // its disk was full when it failed
	Killed  bool // Stop had to
	Lost    bool // it did not end by itself, and nobody here ended it: the host was restarted, say
	Started time.Time
	Ended   time.Time
	Error   string
}

// Stream is one of a task's two outputs.
type Stream uint8

// The two outputs of a task.
const (
	Stdout Stream = iota + 1
	Stderr
)

// BlobSource gives the content of a digest from an offset on. What it gives is
// checked by whoever reads it.
type BlobSource interface {
	Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error)
}

// LayerSource is a BlobSource that has layers also, or only, another way than documents.
type LayerSource interface {
	BlobSource
	// Layer is Blob for a layer of that many bytes.
	Layer(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error)
}

// PublicSource is a BlobSource that knows which of the content it gives anybody gets where it has it from.
type PublicSource interface {
	BlobSource
	// Public says so of a blob that it gave to the end.
	Public(digest string) bool
}

// Progress is told how much of an image is here. It is called from one goroutine at a time.
type Progress func(done, total int64)

// Runtime runs tasks. Tasks outlive the process that started them: a new Runtime
// over the same state sees them under the same IDs, with the same exit and output.
// Every method is safe for concurrent use.
type Runtime interface {
	// Pull makes an image ready to run for whoever it is for, taking from src the blobs that are
	// not here for them. A Pull that was cut off goes on where it stopped. ErrImage, ErrNoSpace.
	Pull(ctx context.Context, image Image, src BlobSource, progress Progress) error
	// Start creates and starts a task of a pulled image. ErrExists, ErrImage, ErrNoSpace.
	// A program that is missing or not executable is no error of Start: the task
	// exits with 127 or 126.
	Start(ctx context.Context, spec Spec) error
	// Wait blocks until the task has ended and says how. ErrNotFound.
	Wait(ctx context.Context, id string) (Exit, error)
	// Stop sends SIGTERM, and SIGKILL after grace. It returns when the task has
	// ended; stopping an ended task is no error. ErrNotFound.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Warn tells a task that its end is near, so that it can save its work: SIGUSR1 to its
	// first process, if that handles it; any other does not notice. ErrNotFound.
	Warn(ctx context.Context, id string) error
	// Pause freezes every process of the task; Resume thaws them. ErrNotFound.
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
	// Exec runs one more program in a running task, as the task's user and as confined as
	// the task, and blocks until it has ended and all it wrote was taken. It ends with the
	// task, and with ctx. A program that is missing or not executable is no error: it exits
	// with 127 or 126. ErrNotFound, ErrNotRunning.
	Exec(ctx context.Context, id string, e Exec) (Exit, error)
	// Attach connects to the input of a task's own program, and to its terminal if it has
	// one, until ctx ends or the task lets go: because it has ended, or because what it wrote
	// was not taken for some seconds, for which no task waits. Several may do so at once, and
	// one after the other. ErrNotFound, ErrNotRunning, ErrNoInput.
	Attach(ctx context.Context, id string, a Attachment) error
	// Dial connects to a TCP port that something in the task listens on, at the task's own
	// loopback address. ErrNotFound, ErrNotRunning, ErrNotListening.
	Dial(ctx context.Context, id string, port uint16) (Conn, error)
	// Output reads one output of a task from an offset on. With follow it blocks at
	// the end of what there is until more comes or the task has ended, then gives
	// io.EOF. Output stays until Remove. ErrNotFound.
	Output(ctx context.Context, id string, stream Stream, offset int64, follow bool) (io.ReadCloser, error)
	// Folder is where on the host a folder of the task's own lies, by its target in the
	// task. It stays until Remove. ErrNotFound.
	Folder(ctx context.Context, id, target string) (string, error)
	// Usage tells what a task uses just now. ErrNotFound, ErrNotRunning when it has ended.
	Usage(ctx context.Context, id string) (Usage, error)
	// Status tells how one task stands. ErrNotFound.
	Status(ctx context.Context, id string) (Status, error)
	// List tells how every task of this runtime stands.
	List(ctx context.Context) ([]Status, error)
	// Remove ends a task if it runs and deletes all it left: container, snapshot,
	// mounts, output. Removing what is not there is no error.
	Remove(ctx context.Context, id string) error
}
