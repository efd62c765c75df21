package requester

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// KeepOutputs is how long outputs are kept after their job's end, unless it is forgotten
// before: long enough for who starts a job on Friday, and no disk fills up with what nobody
// asks for any more.
const KeepOutputs = 7 * 24 * time.Hour

// hold keeps what a task left, while the job is in memory.
func (j *run) hold(manifest string, m *marketv1.Manifest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.outputs == nil {
		j.outputs = map[string]bool{}
	}
	addFolder(j.outputs, manifest, m)
}

func addFolder(set map[string]bool, manifest string, m *marketv1.Manifest) {
	set[manifest] = true
	for _, e := range m.Entries {
		if e.Digest != "" {
			set[e.Digest] = true
		}
	}
}

// KeptOutputs are the digests of the outputs of jobs that ended less than KeepOutputs ago and
// were not forgotten. It reads their manifests: ask once for many blobs.
func (r *Requester) KeptOutputs() map[string]bool {
	set := map[string]bool{}
	for _, manifest := range r.keptManifests() {
		m, err := r.Content.Manifest(context.Background(), nil, manifest)
		if err != nil {
			r.Log.Debug("manifest of an output", "err", err)
			continue
		}
		addFolder(set, manifest, m)
	}
	return set
}

func (r *Requester) keptManifests() (manifests []string) {
	r.mu.Lock()
	runs, remnants := slices.Collect(maps.Values(r.runs)), slices.Collect(maps.Values(r.remnants))
	r.mu.Unlock()
	since := r.Now().Add(-KeepOutputs)
	var ends []*leasev1.JobEvent
	for _, j := range runs {
		if last := j.history.ending(); last != nil && !j.forgotten.Load() {
			ends = append(ends, last)
		}
	}
	for _, m := range remnants {
		last := &leasev1.JobEvent{}
		if err := proto.Unmarshal(m.last, last); err == nil { // it was marshalled here
			ends = append(ends, last)
		}
	}
	for _, last := range ends {
		if time.UnixMilli(last.AtMs).Before(since) {
			continue
		}
		for _, out := range last.GetEnded().GetOutputs() {
			manifests = append(manifests, out.Manifest)
		}
	}
	return manifests
}
