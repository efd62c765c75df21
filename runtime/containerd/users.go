//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// rangeSize is how many users a task has for itself.
const rangeSize = 65536

// poolRanges is how many ranges the pool holds: the default one ends below the
// ids that systemd gives to foreign trees.
const poolRanges = 4000

// users is the range of host users of one task.
type users struct {
	First uint32 `json:"first"`
}

// mapping gives the task's user n the host's user First+n.
func (u users) mapping() []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: u.First, Size: rangeSize}}
}

// one lets a single owner on disk appear as a single user of the task. What
// anybody else owns in a so mapped mount belongs to nobody there.
func (u users) one(disk, inside uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: disk, HostID: u.First + inside, Size: 1}}
}

// claimUsers takes a range that no task of this host has, or gives the one the task
// has already. Where the search begins depends on the task, so that a range just
// given back is not the next one taken.
func (r *Runtime) claimUsers(id string) (users, error) {
	dir := r.paths.task(id)
	var u users
	if ok, err := record.Read(dir, claimFile, &u); ok || err != nil {
		return u, err
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(dir))
	begin := h.Sum32()
	for n := range uint32(poolRanges) {
		u.First = r.cfg.UIDBase + (begin+n)%poolRanges*rangeSize
		err := os.Symlink(dir, claimPath(u)) // atomic, and says whose it is
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return users{}, fmt.Errorf("claim users: %w", err)
		}
		return u, record.Put(dir, claimFile, u) // the claim itself does not outlive the machine either
	}
	return users{}, fmt.Errorf("all %d ranges of users are taken", poolRanges)
}

func claimPath(u users) string {
	return filepath.Join(claimsDir, strconv.FormatUint(uint64(u.First), 10))
}

// releaseUsers gives back every range of a task.
func (r *Runtime) releaseUsers(id string) error {
	return eachClaim(func(path, task string) error {
		if task == r.paths.task(id) {
			return os.Remove(path)
		}
		return nil
	})
}

// releaseOrphanUsers gives back the ranges of tasks of ours that are gone.
func (r *Runtime) releaseOrphanUsers() error {
	return eachClaim(func(path, task string) error {
		if filepath.Dir(task) != r.paths.tasks {
			return nil
		}
		if _, err := os.Lstat(task); errors.Is(err, fs.ErrNotExist) {
			return os.Remove(path)
		}
		return nil
	})
}

func eachClaim(f func(path, task string) error) error {
	entries, err := os.ReadDir(claimsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(claimsDir, e.Name())
		task, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f(path, task)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("claimed users: %w", err)
		}
	}
	return nil
}
