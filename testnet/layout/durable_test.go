package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loose are the files that write without a sync, and why a power cut may take what they wrote.
// Whatever else a node keeps goes through journal.WriteFile, or is synced where it is written.
var loose = map[string]string{
	"gpu/nvml/nvmltest/nvmltest.go":       "for tests",
	"gpu/gputest/host.go":                 "for tests",
	"runtime/runtimetest/cases.go":        "for tests",
	"runtime/runtimetest/verbs.go":        "for tests",
	"runtime/runtimetest/mountcases.go":   "for tests",
	"runtime/runtimetest/execcases.go":    "for tests",
	"node/listen.go":                      "the ports of the last start: others will do",
	"node/peers.go":                       "peers of the last run: others will be met",
	"job/worker/fetch.go":                 "inputs: unpacked anew after a boot",
	"job/requester/history.go":            "for people: what counts is in the journal",
	"job/requester/logtimes.go":           "for people: output without its times is there all the same",
	"runtime/containerd/start.go":         "for a task, which no boot survives",
	"runtime/containerd/network.go":       "for a task, which no boot survives",
	"runtime/containerd/disk.go":          "for a task, which no boot survives; mkfs syncs what is kept",
	"runtime/containerd/cgroup.go":        "settings of the kernel",
	"runtime/containerd/egress/link.go":   "settings of the kernel",
	"runtime/containerd/egress/uplink.go": "settings of the kernel",
	"runtime/containerd/child.go":         "a log",
	"runtime/containerd/daemon/state.go":  "a lock",
	"node/control/lock.go":                "a lock",
	"node/control/start.go":               "a log",
	"job/worker/samples.go":               "samples: a torn end is cut off",
}

func TestWhatANodeKeepsIsSynced(t *testing.T) {
	root := filepath.Join("..", "..")
	writers := map[string]bool{}
	for _, part := range []string{"node", "job", "p2p", "gpu", "runtime"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			if calls(file, "os", "WriteFile", "Rename", "Create", "CreateTemp", "OpenFile") && !calls(file, "", "Sync", "SyncFile") {
				writers[name] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range writers {
		if loose[name] == "" {
			t.Errorf("%s writes a file and syncs none: use journal.WriteFile, or say in loose why a power cut may take it", name)
		}
	}
	for name := range loose {
		if !writers[name] {
			t.Errorf("%s stands in loose, and writes no file without a sync", name)
		}
	}
}

// calls says whether a file calls one of some functions of a package, or methods where pkg is empty.
func calls(file *ast.File, pkg string, names ...string) bool {
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains(names, call.Sel.Name) {
			return true
		}
		of, _ := call.X.(*ast.Ident)
		found = found || pkg == "" || of != nil && of.Name == pkg
		return true
	})
	return found
}
