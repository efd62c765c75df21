package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// hunt is one way of looking for bugs.
type hunt struct {
	by   string
	pkg  string
	test string // which of its tests; empty: all
	root bool   // they run containers

	deps   []string // the packages that its tests are built from, once asked
	proved bool     // it passes without a bug
}

// reaches says whether a hunt's tests run code of a bug's package.
func (h *hunt) reaches(b bug) bool {
	if h.root && os.Geteuid() != 0 {
		return false
	}
	if h.deps == nil {
		out, err := exec.Command("go", "list", "-deps", "-test", "-f", "{{.ImportPath}}", h.pkg).Output()
		if err != nil {
			return true // the run says what is wrong
		}
		h.deps = strings.Fields(string(out))
	}
	return slices.Contains(h.deps, "github.com/rigmesh/rigmesh/"+path.Dir(b.file))
}

// prove runs the hunt once on the code as it is, where it must pass.
func (h *hunt) prove() error {
	if h.proved {
		return nil
	}
	switch end, err := h.run(); {
	case err != nil:
		return err
	case end.hung:
		return fmt.Errorf("it does not end within %s", patience)
	case end.failed:
		return fmt.Errorf("%s fails", end.test)
	}
	h.proved = true
	return nil
}

// patience is how long the tests of one hunt may take.
const patience = 5 * time.Minute

// ending is how a hunt came out.
type ending struct {
	failed, hung, empty bool
	test                string // the first that failed
}

var firstFailed = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// run runs the tests. What does not compile is no bug, and an error.
func (h *hunt) run(flags ...string) (ending, error) {
	args := append([]string{"test", "-count=1", "-failfast", "-v", "-timeout", patience.String()}, flags...)
	out, err := exec.Command("go", append(args, "-run", h.test, h.pkg)...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ending{empty: !bytes.Contains(out, []byte("--- PASS"))}, nil
	case !errors.As(err, &exit):
		return ending{}, err
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return ending{}, fmt.Errorf("%s does not compile with it: %s", h.pkg, out)
	case bytes.Contains(out, []byte("panic: test timed out after")):
		return ending{hung: true}, nil
	}
	end := ending{failed: true, test: "a panic"}
	if m := firstFailed.FindSubmatch(out); m != nil {
		end.test = string(m[1])
	}
	return end, nil
}
