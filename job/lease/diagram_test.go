package lease

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// moves collects the changes of state that the transcripts show.
type moves map[string]map[string]bool // "role from to" -> events

func (m moves) note(r Role, from, to State, ev Event) {
	if from == to {
		return
	}
	key := fmt.Sprintf("%d %d %d", r, from, to)
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	m[key][strings.TrimPrefix(fmt.Sprintf("%T", ev), "lease.")] = true
}

func (m moves) String() string {
	var b strings.Builder
	for _, r := range []Role{Worker, Requester} {
		fmt.Fprintf(&b, "%s\n", r)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			var role Role
			var from, to State
			if _, err := fmt.Sscan(key, &role, &from, &to); err != nil {
				panic(err)
			}
			if role == r {
				fmt.Fprintf(&b, "  %-10s → %-10s %s\n", from, to, strings.Join(slices.Sorted(maps.Keys(m[key])), ", "))
			}
		}
	}
	return b.String()
}

func TestStateDiagramOfTheSpecIsWhatTheRulesDo(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := moves{}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := &scene{t: t, terms: testTerms(), now: epoch, offset: 10 * time.Second, lose: map[string]int{}, hold: map[string]int{}, moves: all}
		for line := range strings.Lines(string(script)) {
			if words, ok := strings.CutPrefix(line, "> "); ok {
				if err := s.command(strings.Fields(words)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const begin, end = "<!-- states: printed by job/lease -->\n```text\n", "```\n<!-- end of states -->"
	path := "../../proto/SPEC.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	printed, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("SPEC.md has no place for the states")
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+all.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if printed != all.String() {
		t.Errorf("SPEC.md shows other states (-update rewrites them):\n%s", all)
	}
}
