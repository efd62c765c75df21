//go:build linux

package record

import (
	"encoding/json"
	"errors"
	"fmt"
)

// RunningInit is the program of the task's init, which no job can put another in the place
// of: unlike InitPath, below a folder that may be the job's to rename.
const RunningInit = "/proc/1/exe"

// EnterWord is the first argument of an init that is to become one more program in its
// task, beside the job. The words of a Job follow.
const EnterWord = "enter"

// First arguments of the init's own programs, which an image need not have: a path to
// pack, or one to unpack at and a name.
const (
	PackWord   = "pack"
	UnpackWord = "unpack"
)

// head is what comes before the variables and the arguments of a job in its words.
type head struct {
	Job
	Variables int `json:"variables"`
}

// Words are a job as arguments of a program. They come from outside of the task, where
// a file in it would be one that somebody in it might have written.
func (j Job) Words() ([]string, error) {
	h := head{j, len(j.Env)}
	h.Env, h.Args = nil, nil
	first, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode a job: %w", err)
	}
	words := append([]string{string(first)}, j.Env...)
	return append(words, j.Args...), nil
}

// ParseWords is the job that was made into words.
func ParseWords(words []string) (Job, error) {
	if len(words) == 0 {
		return Job{}, errors.New("decode a job: no words")
	}
	var h head
	if err := json.Unmarshal([]byte(words[0]), &h); err != nil {
		return Job{}, fmt.Errorf("decode a job: %w", err)
	}
	rest := words[1:]
	if h.Variables < 0 || h.Variables >= len(rest) {
		return Job{}, fmt.Errorf("decode a job: %d variables and a program do not fit %d words", h.Variables, len(rest))
	}
	h.Env, h.Args = rest[:h.Variables], rest[h.Variables:]
	return h.Job, nil
}
