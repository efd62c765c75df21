package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rigmesh/rigmesh"

// A rule says what packages may not be reached from others. Patterns are import
// paths, ours beginning with "./"; "x/..." is x and all below it.
type rule struct {
	from   []string
	except []string // of from
	never  []string
	but    []string // of never
	direct bool     // look at import lines alone, not at what those import in turn
	why    string
}

var pure = []string{"./job", "./job/market", "./job/owner", "./job/lease", "./job/heartbeat", "./job/heartbeat/seal", "./job/statement", "./job/evidence", "./job/clock", "./job/attest", "./job/receipt"}

var rules = []rule{
	{from: []string{"./..."}, except: []string{"./testnet/..."}, never: []string{"./testnet/..."},
		why: "nothing imports testnet"},
	{from: []string{"./..."}, except: []string{"./cmd/...", "./testnet/..."}, never: []string{"./cmd/..."},
		why: "cmd is the top"},
	{from: []string{"./job/...", "./p2p/...", "./gpu/...", "./runtime/...", "./proto/..."}, never: []string{"./node/..."},
		why: "node puts the parts together, and no part knows it"},
	{from: []string{"./job/..."}, never: []string{"./p2p/...", "./runtime/containerd/...", "./gpu/nvml/..."},
		why: "the market declares the two methods it needs; node hands in what fits"},
	{from: []string{"./p2p/..."}, never: []string{"./job/...", "./gpu/...", "./runtime/..."},
		why: "p2p knows no jobs"},
	{from: []string{"./runtime/..."}, never: []string{"./job/...", "./p2p/...", "./gpu/..."},
		why: "a runtime knows neither leases nor peers"},
	{from: []string{"./gpu"}, never: []string{"./..."},
		why: "gpu is vocabulary and imports nothing of ours"},
	{from: []string{"./gpu/..."}, never: []string{"./job/...", "./p2p/...", "./runtime/...", "./proto/..."}, but: []string{"./proto/nvml/v1"},
		why: "gpu knows no market"},
	{from: []string{"./..."}, except: []string{"./cmd/rigmesh-nvml"}, never: []string{"github.com/NVIDIA/..."},
		why: "NVIDIA's libraries take cgo and may hang or crash: they are linked into a process of their own"},
	{from: []string{"./cmd/rigmesh-nvml"}, never: []string{"./p2p/...", "./node/...", "./job/...", "./runtime/...", "./gpu/nvml", "github.com/libp2p/...", "github.com/containerd/..."},
		why: "the process that may crash is small"},
	{from: []string{"./proto/..."}, never: []string{"./job/...", "./p2p/...", "./gpu/...", "./runtime/..."},
		why: "generated code is the bottom"},
	{from: []string{"./job"}, never: []string{"./job/..."}, but: []string{"./job"},
		why: "job is the vocabulary of everything below it"},
	{from: pure, never: []string{"./job/journal/...", "./job/worker/...", "./job/requester/...", "./job/witness/...", "./runtime/..."},
		why: "rules are values in, values out"},
	{from: pure, never: []string{"context", "sync/...", "os/...", "net/...", "log/...", "math/rand/...", "crypto/rand"}, direct: true,
		why: "no I/O, goroutine, context, log, clock or randomness in rules"},
	{from: []string{"./..."}, except: []string{"./p2p/...", "./testnet/..."}, never: []string{"github.com/libp2p/..."},
		but: []string{"github.com/libp2p/go-libp2p/core/peer", "github.com/libp2p/go-libp2p/core/crypto"}, direct: true,
		why: "only p2p and testnet touch the network"},
	{from: []string{"./..."}, except: []string{"./runtime/containerd/...", "./testnet/bench/..."}, never: []string{"github.com/containerd/containerd/..."}, direct: true,
		why: "heavy SDKs appear in leaf packages only"},
	{from: []string{"./cmd/rigmesh-init"}, never: []string{"./p2p/...", "./node/...", "./job/...", "github.com/libp2p/...", "github.com/containerd/containerd/..."},
		why: "the init of every task is small"},
}

type pkg struct {
	ImportPath, Name, Doc string
	Imports, Deps         []string
}

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range rules {
			if !matches(p.ImportPath, r.from) || matches(p.ImportPath, r.except) {
				continue
			}
			reached := p.Deps
			if r.direct {
				reached = p.Imports
			}
			for _, imported := range reached {
				if matches(imported, r.never) && !matches(imported, r.but) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, r.why)
				}
			}
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && !strings.HasPrefix(p.ImportPath, module+"/proto/") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	allowed := []string{"tools", "cmd", "node", "p2p", "job", "gpu", "runtime", "proto", "testnet"}
	for _, p := range packages(t) {
		top, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, module+"/"), "/")
		if !slices.Contains(allowed, top) {
			t.Errorf("%s: the top level is %s, and nothing else", p.ImportPath, strings.Join(allowed, " "))
		}
		if vague := []string{"common", "util", "utils", "types", "helpers", "misc"}; slices.Contains(vague, path.Base(p.ImportPath)) {
			t.Errorf("%s: the name says nothing about what is in it", p.ImportPath)
		}
	}
}

func TestPatternsMatchWholeFolders(t *testing.T) {
	for _, c := range []struct {
		path, pattern string
		want          bool
	}{
		{module + "/job", "./job", true},
		{module + "/job/lease", "./job", false},
		{module + "/job/lease", "./job/...", true},
		{module + "/jobs", "./job/...", false},
		{module, "./...", true},
		{module + "/job", "./...", true},
		{"fmt", "./...", false},
		{"runtime/debug", "./runtime/...", false},
		{"os/exec", "os/...", true},
		{"github.com/containerd/containerd/v2/client", "github.com/containerd/containerd/...", true},
	} {
		if got := matches(c.path, []string{c.pattern}); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.path, c.pattern, got, c.want)
		}
	}
}

// matches tells whether an import path is one of the patterns.
func matches(importPath string, patterns []string) bool {
	for _, pattern := range patterns {
		if ours, ok := strings.CutPrefix(pattern, "."); ok {
			pattern = module + ours
		}
		folder, below := strings.CutSuffix(pattern, "/...")
		if importPath == folder || below && strings.HasPrefix(importPath, folder+"/") {
			return true
		}
	}
	return false
}

// packages lists every package of the module, without tests.
func packages(t *testing.T) []pkg {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Doc,Imports,Deps", module+"/...")
	out, err := list.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("go list: %s", failed.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
}
