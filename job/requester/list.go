package requester

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rigmesh/rigmesh/job"
)

// find looks a job up by its id, or a unique beginning of it.
func (r *Requester) find(id string) (*run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	full, err := r.complete(id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	if m := r.remnants[full]; m != nil {
		return r.recall(full, m)
	}
	return r.runs[full.String()], nil
}

// complete finds the one job that begins like that. The caller holds mu.
func (r *Requester) complete(begin string) (job.ID, error) {
	var found []job.ID
	add := func(id job.ID) {
		if begin != "" && strings.HasPrefix(id.String(), begin) {
			found = append(found, id)
		}
	}
	for _, j := range r.runs {
		if !j.forgotten.Load() {
			add(j.id)
		}
	}
	for id := range r.remnants {
		add(id)
	}
	switch len(found) {
	case 0:
		return job.ID{}, ErrNoJob
	case 1:
		return found[0], nil
	}
	return job.ID{}, ErrAmbiguous
}

// Live counts the jobs that have not ended.
func (r *Requester) Live() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, j := range r.runs {
		if !j.over() {
			n++
		}
	}
	return n
}

// LiveJobs lists the jobs that have not ended, newest first.
func (r *Requester) LiveJobs() []View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return newestFirst(slices.DeleteFunc(r.views(), func(v View) bool { return !v.Live }))
}

// Jobs lists this requester's jobs, newest first.
func (r *Requester) Jobs() []View {
	r.mu.Lock()
	all, remnants := r.views(), maps.Clone(r.remnants)
	r.mu.Unlock()
	for id, m := range remnants {
		j, err := r.recall(id, m)
		if err != nil {
			r.Log.Error("a job is not listed", "err", err)
			continue
		}
		all = append(all, j.view())
	}
	return newestFirst(all)
}

// views are those of jobs of which more than a remnant is left. The caller holds mu.
func (r *Requester) views() (out []View) {
	for _, j := range r.runs {
		if !j.forgotten.Load() {
			out = append(out, j.view())
		}
	}
	return out
}

func newestFirst(jobs []View) []View {
	slices.SortFunc(jobs, func(a, b View) int { return b.Created.Compare(a.Created) })
	return jobs
}
