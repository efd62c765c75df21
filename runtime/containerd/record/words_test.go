//go:build linux

package record

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAJobComesBackFromItsWords(t *testing.T) {
	for _, job := range []Job{
		{Args: []string{"sh"}, Env: []string{}},
		{Args: []string{"sh", "-c", "", "\n"}, Env: []string{"A=1", "B="}, UID: 7, GID: 8, Groups: []uint32{9}, Workdir: "/work"},
	} {
		words, err := job.Words()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseWords(words)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(job, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWordsThatAreNoJobAreRefused(t *testing.T) {
	for _, words := range [][]string{nil, {"{}"}, {"x", "sh"}, {`{"variables":1}`, "A=1"}, {`{"variables":-1}`, "sh"}} {
		if job, err := ParseWords(words); err == nil {
			t.Errorf("%q is %+v", words, job)
		}
	}
}

// FuzzWords: whatever an init is given is a job with a program, or refused.
func FuzzWords(f *testing.F) {
	words, err := Job{Args: []string{"sh", "-c", "true"}, Env: []string{"A=1"}, UID: 7}.Words()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.Join(words, "\x00"))
	f.Add(`{"variables":-1}`)
	f.Fuzz(func(t *testing.T, text string) {
		job, err := ParseWords(strings.Split(text, "\x00"))
		if err != nil {
			return
		}
		words, err := job.Words()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseWords(words)
		if err != nil || len(job.Args) == 0 || !cmp.Equal(again, job) {
			t.Errorf("%+v became %+v, %v", job, again, err)
		}
	})
}
