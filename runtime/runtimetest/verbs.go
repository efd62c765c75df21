package runtimetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// verbs are the instructions. They say whether the script ends, and with which code.
var verbs = map[string]func(t *task, rest string) (code int, done bool){
	"print":  func(t *task, rest string) (int, bool) { t.print(runtime.Stdout, rest); return 0, false },
	"eprint": func(t *task, rest string) (int, bool) { t.print(runtime.Stderr, rest); return 0, false },
	"env": func(t *task, name string) (int, bool) {
		value := ""
		for _, e := range t.spec.Env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				value = v
			}
		}
		t.print(runtime.Stdout, value)
		return 0, false
	},
	"sleep": func(t *task, rest string) (int, bool) {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 1, true
		}
		return 0, !t.sleep(d)
	},
	"cat":  func(t *task, _ string) (int, bool) { return 1, !t.cat() },
	"exit": func(_ *task, rest string) (int, bool) { code, _ := strconv.Atoi(rest); return code, true },
	"copy": func(t *task, rest string) (int, bool) {
		from, to, _ := strings.Cut(rest, " ")
		return t.failed(t.copy(from, to))
	},
	"pack":   func(t *task, path string) (int, bool) { return t.failed(t.pack(path)) },
	"unpack": func(t *task, paths string) (int, bool) { return t.failed(t.unpack(paths)) },
	"await": func(t *task, path string) (int, bool) {
		for {
			if _, err := os.Stat(t.path(path)); err == nil {
				return 0, false
			}
			if !t.sleep(10 * time.Millisecond) {
				return 0, true
			}
		}
	},
	"serve":       func(t *task, port string) (int, bool) { t.serve(port); return 0, false },
	"ignore-term": func(t *task, _ string) (int, bool) { t.setOnTerm(termIgnored); return 0, false },
	"on-warn":     func(t *task, text string) (int, bool) { t.setOnWarn(text); return 0, false },
	"on-term": func(t *task, rest string) (int, bool) {
		code, _ := strconv.Atoi(rest)
		t.setOnTerm(code)
		return 0, false
	},
}

// failed ends a script whose instruction did.
func (t *task) failed(err error) (code int, done bool) {
	if err == nil {
		return 0, false
	}
	t.print(runtime.Stderr, err.Error())
	return 1, true
}

// path is where a path in the task lies on the host: below a mount, or nowhere.
func (t *task) path(inside string) string {
	for i, m := range t.spec.Mounts {
		if m.File != "" && inside == m.Target {
			return filepath.Join(t.dirs[i], m.File)
		}
		if rest, ok := strings.CutPrefix(inside+"/", m.Target+"/"); ok {
			return filepath.Join(t.dirs[i], filepath.FromSlash(rest))
		}
	}
	return filepath.Join(os.DevNull, inside)
}

func (t *task) copy(from, to string) error {
	for _, m := range t.spec.Mounts {
		if !m.Writable() && strings.HasPrefix(to+"/", m.Target+"/") {
			return fmt.Errorf("%s: read-only", to)
		}
	}
	b, err := os.ReadFile(t.path(from))
	if err != nil {
		return err
	}
	return os.WriteFile(t.path(to), b, 0o644)
}
