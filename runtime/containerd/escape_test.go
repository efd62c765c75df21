//go:build linux

package containerd

import (
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// leastAttempts is how many must have succeeded unprotected, or they prove little.
const leastAttempts = 40

// trial is one task: some attempts, as one user, without some protections.
type trial struct {
	off   []protection
	user  string
	exec  bool // by a program put into the task, not by its job
	names map[string]bool
	found map[string]finding
}

type finding struct{ verdict, why string }

// trials are all the tasks that the attempts take, by user and protections that are off.
type trials map[string]*trial

func keyOf(user string, off []protection) string {
	sorted := slices.Sorted(slices.Values(off))
	return fmt.Sprint(user, sorted)
}

func (ts trials) want(name, user string, off []protection) {
	ts.add(keyOf(user, off), name, trial{off: off, user: user})
}

// wantExec is want for a program beside the job, with everything on.
func (ts trials) wantExec(name, user string) {
	ts.add(execKey(user), name, trial{user: user, exec: true})
}

func execKey(user string) string { return "exec " + user }

func (ts trials) add(key, name string, t trial) {
	if ts[key] == nil {
		t.names = make(map[string]bool)
		ts[key] = &t
	}
	ts[key].names[name] = true
}

func (ts trials) finding(name, user string, off []protection) finding {
	return ts[keyOf(user, off)].found[name]
}

// without is off with one protection back on.
func without(off []protection, on protection) []protection {
	return slices.DeleteFunc(slices.Clone(off), func(p protection) bool { return p == on })
}

// users are whom an attempt is made as when everything is on.
func (a attempt) users() []string {
	if a.user != "" {
		return []string{a.user}
	}
	return []string{"0", "worker"}
}

func planned(attempts []attempt) trials {
	ts := make(trials)
	for _, a := range attempts {
		for _, user := range a.users() {
			ts.want(a.name, user, nil)
			ts.wantExec(a.name, user)
		}
		user := a.users()[0]
		ts.want(a.name, user, a.off)
		for _, p := range a.off {
			ts.want(a.name, user, without(a.off, p))
		}
	}
	return ts
}

var chosen = flag.String("attempts", "", "make only attempts whose name matches this pattern")

// Every attempt is a real one: it succeeds where its protections are off. With all on it
// fails, and so it does with any one of its own on.
func TestNoAttemptEscapes(t *testing.T) {
	only, err := regexp.Compile(*chosen)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	wanted := slices.DeleteFunc(slices.Clone(attempts), func(a attempt) bool { return !only.MatchString(a.name) })
	ts := planned(wanted)
	f.try(t, ts)
	counted := 0
	for _, a := range wanted {
		if a.judge(t, ts) {
			counted++
		}
	}
	onHost := slices.DeleteFunc(slices.Clone(hostAttempts), func(a hostAttempt) bool { return !only.MatchString(a.name) })
	counted += f.tryOnHost(t, onHost)
	t.Logf("%d attempts, %d of them counted", len(wanted)+len(onHost), counted)
	if counted < leastAttempts && *chosen == "" {
		t.Errorf("%d attempts succeed unprotected, %d are wanted", counted, leastAttempts)
	}
}

// judge prints one attempt's line and says whether it counts.
func (a attempt) judge(t *testing.T, ts trials) bool {
	t.Helper()
	var denied finding
	for _, user := range a.users() {
		if denied = ts.finding(a.name, user, nil); denied.verdict == "ok" || denied.verdict == "" {
			t.Errorf("%s as %s, protected: %+v", a.name, user, denied)
		}
		if x := ts[execKey(user)].found[a.name]; x.verdict == "ok" || x.verdict == "" {
			t.Errorf("%s as %s, beside the job, protected: %+v", a.name, user, x)
		}
	}
	user := a.users()[0]
	open := ts.finding(a.name, user, a.off)
	for _, p := range a.off {
		if one := ts.finding(a.name, user, without(a.off, p)); one.verdict == "ok" || one.verdict == "" {
			t.Errorf("%s: %s alone does not deny it: %+v", a.name, p, one)
		}
	}
	line(t, a.name, open.verdict, ts.finding(a.name, user, nil).verdict, a.off)
	line(t, a.name+" beside-the-job", open.verdict, ts[execKey(user)].found[a.name].verdict, a.off)
	if open.verdict == "absent" {
		return false // nothing to attack in this kernel
	}
	if open.verdict != "ok" {
		t.Errorf("%s without %v: %+v", a.name, a.off, open)
	}
	return open.verdict == "ok"
}

func line(t *testing.T, name, unprotected, protected string, by []protection) {
	var names []string
	for _, p := range by {
		names = append(names, string(p))
	}
	t.Logf("attempt %s unprotected=%s protected=%s by=%s", name, unprotected, protected, strings.Join(names, ","))
}

// try runs every trial, some at a time.
func (f *fixture) try(t *testing.T, ts trials) {
	t.Helper()
	limit := make(chan struct{}, 4)
	var running sync.WaitGroup
	for i, key := range slices.Sorted(maps.Keys(ts)) {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			if err := f.tryOne(t, fmt.Sprintf("trial-%d", i), ts[key]); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	running.Wait()
}

func (f *fixture) tryOne(t *testing.T, id string, tr *trial) error {
	f.loosened(id, tr.off)
	probe := append([]string{"/evil/probe", "run"}, slices.Sorted(maps.Keys(tr.names))...)
	spec := runtime.Spec{
		ID: id, Image: f.image, User: tr.user, Env: f.env,
		Command: probe,
		Mounts:  []runtime.Mount{{Source: f.input, Target: "/input", ReadOnly: true}, {Source: f.input, Target: "/private", Private: true}, {Target: "/output"}},
		Limits:  runtime.Limits{CPUMillis: 1000, MemoryBytes: 256 << 20, DiskBytes: 64 << 20, Pids: 64},
	}
	if tr.exec {
		spec.Command = []string{"/bin/sleep", "3600"}
	}
	if err := f.Start(t.Context(), spec); err != nil {
		return err
	}
	var exit runtime.Exit
	var err error
	var stdout, stderr strings.Builder
	if tr.exec {
		exit, err = f.Exec(t.Context(), id, runtime.Exec{Args: probe, Stdout: &stdout, Stderr: &stderr})
	} else if exit, err = f.Wait(t.Context(), id); err == nil {
		stdout.WriteString(f.output(t, id, runtime.Stdout))
		stderr.WriteString(f.output(t, id, runtime.Stderr))
	}
	if err != nil {
		return err
	}
	tr.found = make(map[string]finding)
	for l := range strings.Lines(stdout.String()) {
		if fields := strings.SplitN(strings.TrimSpace(l), "\t", 3); len(fields) >= 2 {
			tr.found[fields[0]] = finding{fields[1], strings.Join(fields[2:], "")}
		}
	}
	if len(tr.found) != len(tr.names) {
		return fmt.Errorf("%d of %d attempts answered, exit %+v: %s", len(tr.found), len(tr.names), exit, &stderr)
	}
	return f.Remove(t.Context(), id)
}
