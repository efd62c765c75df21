//go:build linux

package record

import (
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
