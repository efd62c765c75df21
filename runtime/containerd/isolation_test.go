//go:build linux

package containerd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// shell starts a task that runs a line of shell.
func (h host) shell(t *testing.T, spec runtime.Spec, line string) string {
	t.Helper()
	if spec.ID == "" {
		spec.ID = "task"
	}
	if spec.Image.Digest == "" {
		spec.Image = h.image
	}
	spec.Command = []string{"sh", "-c", line}
	if err := h.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	return spec.ID
}

func (h host) output(t *testing.T, id string, s runtime.Stream) string {
	t.Helper()
	r, err := h.Output(t.Context(), id, s, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (h host) end(t *testing.T, id string) runtime.Exit {
	t.Helper()
	exit, err := h.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

// run runs a line of shell to its end and removes the task.
func (h host) run(t *testing.T, spec runtime.Spec, line string) (runtime.Exit, string) {
	t.Helper()
	id := h.shell(t, spec, line)
	exit := h.end(t, id)
	out := h.output(t, id, runtime.Stdout)
	if problems := h.output(t, id, runtime.Stderr); problems != "" {
		t.Logf("stderr: %s", problems)
	}
	if err := h.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return exit, out
}

func TestTaskIsContained(t *testing.T) {
	h := open(t)
	t.Run("no user of a task has any capability", func(t *testing.T) {
		for _, user := range []string{"", "worker", "65534:65534"} {
			_, out := h.run(t, runtime.Spec{User: user}, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
			const none = "0000000000000000"
			want := "CapInh:\t" + none + "\nCapPrm:\t" + none + "\nCapEff:\t" + none + "\nCapBnd:\t" + none + "\nCapAmb:\t" + none +
				"\nNoNewPrivs:\t1\nSeccomp:\t2\n"
			if diff := cmp.Diff(want, out); diff != "" {
				t.Errorf("user %q:\n%s", user, diff)
			}
		}
	})
	t.Run("users of the image are found by name", func(t *testing.T) {
		for user, want := range map[string]string{"": "0 0", "worker": "1000 1001", "worker:video": "1000 44", "1000": "1000 1001", "7:8": "7 8"} {
			if _, out := h.run(t, runtime.Spec{User: user}, `echo $(id -u) $(id -g)`); out != want+"\n" {
				t.Errorf("user %q is %q, want %q", user, out, want)
			}
		}
		if _, out := h.run(t, runtime.Spec{User: "worker"}, `id -G`); out != "1001 44\n" {
			t.Errorf("groups %q", out)
		}
	})
	t.Run("it sees a range of users, a loopback device and its own processes only", func(t *testing.T) {
		_, out := h.run(t, runtime.Spec{}, "tr -s ' ' </proc/self/uid_map; ls /sys/class/net; cat /sys/class/net/lo/operstate; echo *; hostname; ps -o pid | wc -l; ping -c1 -w1 127.0.0.1 >/dev/null 2>&1; cat /proc/net/route | wc -l")
		lines := strings.Split(out, "\n")
		var inside, outside, size uint32
		if _, err := fmt.Sscan(lines[0], &inside, &outside, &size); err != nil {
			t.Fatal(err)
		}
		if inside != 0 || outside < defaultUIDBase || size != rangeSize {
			t.Errorf("users %q", lines[0])
		}
		if lines[1] != "lo" || lines[2] != "unknown" || lines[4] != "task" || lines[6] != "1" {
			t.Errorf("task sees:\n%s", out)
		}
	})
	t.Run("what steers a linker or hands out devices stays out of its environment", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "image.tar")
		tree := filepath.Join(t.TempDir(), "tree")
		if err := ociimage.BusyboxTree(tree); err != nil {
			t.Fatal(err)
		}
		env := []string{"PATH=/bin", "LD_PRELOAD=/evil.so", "NVIDIA_VISIBLE_DEVICES=all", "KEPT=1", "CHANGED=image"}
		if err := ociimage.FromDir(path, tree, ociimage.Options{Env: env, User: "worker", Workdir: "/work/dir"}); err != nil {
			t.Fatal(err)
		}
		image := pullArchive(t, h.Runtime, path)
		_, out := h.run(t, runtime.Spec{Image: image, Env: []string{"CHANGED=spec"}}, "env | sort; id -un")
		want := "CHANGED=spec\nHOSTNAME=task\nKEPT=1\nPATH=/bin\nPWD=/work/dir\nSHLVL=1\nworker\n"
		if diff := cmp.Diff(want, out); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("its outputs are pipes that it can open by name", func(t *testing.T) {
		_, out := h.run(t, runtime.Spec{User: "worker"}, "echo one; echo two > /dev/stdout; echo three >> /proc/self/fd/1")
		if out != "one\ntwo\nthree\n" {
			t.Errorf("stdout %q", out)
		}
	})
	t.Run("its root file system is writable and its temporary ones are bounded", func(t *testing.T) {
		spec := runtime.Spec{Limits: runtime.Limits{MemoryBytes: 64 << 20}}
		_, out := h.run(t, spec, "echo x >/new-file && cat /new-file; df -k /tmp /dev/shm | awk 'NR>1{print $2}'")
		if want := "x\n32768\n32768\n"; out != want {
			t.Errorf("got %q, want %q", out, want)
		}
	})
}

func TestTwoTasksNeverShareUsers(t *testing.T) {
	h := open(t)
	seen := make(map[string]bool)
	for _, id := range []string{"one", "two", "three"} {
		h.shell(t, runtime.Spec{ID: id}, "cat /proc/self/uid_map; sleep 1000")
		r, err := h.Output(t.Context(), id, runtime.Stdout, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil || seen[line] {
			t.Errorf("%s has users %s: %v", id, line, err)
		}
		seen[line] = true
		_ = r.Close()
	}
}

func TestJobCanNeitherForgeItsRecordNorHarmItsInit(t *testing.T) {
	h := open(t)
	for _, user := range []string{"0", "worker"} {
		exit, out := h.run(t, runtime.Spec{User: user}, `
			echo '{"code":0}' >/.rigmesh/rec/exit.json; ls /.rigmesh/rec; cat /.rigmesh/rec/job.json
			mv /.rigmesh /elsewhere; rm -rf /.rigmesh; umount /.rigmesh/rec
			kill -9 1; kill -TERM 1; kill -64 1; cat /proc/1/environ; ls /proc/1/fd; echo 1 >/proc/1/oom_score_adj
			cat /proc/self/oom_score_adj
			exit 3`)
		if exit.Code != 3 || exit.Signal != 0 || exit.Error != "" {
			t.Errorf("user %s: exit %+v", user, exit)
		}
		if out != "1000\n" {
			t.Errorf("user %s: %q", user, out)
		}
	}
}

func TestMountsBelongToTheTasksUser(t *testing.T) {
	h := open(t)
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	for _, dir := range []string{in, out} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(in, "secret"), []byte("for the task"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(out, 4321, 1234); err != nil {
		t.Fatal(err)
	}
	spec := runtime.Spec{User: "worker", Mounts: []runtime.Mount{{Source: in, Target: "/in", ReadOnly: true}, {Source: out, Target: "/deep/er/out"}}}
	exit, _ := h.run(t, spec, "cp /in/secret /deep/er/out/copy && ! touch /in/other 2>/dev/null && ! chown 0 /deep/er/out/copy 2>/dev/null")
	if exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
	fi, err := os.Stat(filepath.Join(out, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	if st := fi.Sys().(*syscall.Stat_t); st.Uid != 4321 || st.Gid != 1234 {
		t.Errorf("on disk the copy belongs to %d:%d", st.Uid, st.Gid)
	}
}

func TestLackOfMemoryIsToldFromAKill(t *testing.T) {
	h := open(t)
	limits := runtime.Limits{MemoryBytes: 32 << 20}
	if exit, _ := h.run(t, runtime.Spec{Limits: limits}, "exec tail /dev/zero"); exit.Code != 137 || exit.Signal != 9 || !exit.OOM {
		t.Errorf("out of memory: %+v", exit)
	}
	if exit, _ := h.run(t, runtime.Spec{Limits: limits}, "kill -9 $$"); exit.Code != 137 || exit.Signal != 9 || exit.OOM {
		t.Errorf("killed itself: %+v", exit)
	}
	if exit, _ := h.run(t, runtime.Spec{Limits: limits}, "tail /dev/zero; exit 5"); exit.Code != 5 || !exit.OOM {
		t.Errorf("a child ran out of memory: %+v", exit)
	}
}

func TestProcessesAreLimited(t *testing.T) {
	h := open(t)
	exit, _ := h.run(t, runtime.Spec{Limits: runtime.Limits{Pids: 20}}, "for i in $(seq 100); do sleep 1000 & done")
	if exit.Code == 0 {
		t.Errorf("a hundred processes within a limit of twenty")
	}
	// The init's own threads do not count, nor does it need another one once they do.
	if exit, _ := h.run(t, runtime.Spec{Limits: runtime.Limits{Pids: 1}}, "echo alone; exit 3"); exit.Code != 3 || exit.Error != "" {
		t.Errorf("one process: %+v", exit)
	}
}

func TestATaskRunsWhateverItsNodesUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	h := open(t)
	h.shell(t, runtime.Spec{}, "exit 7")
	if exit, err := h.Wait(t.Context(), "task"); err != nil || exit.Code != 7 {
		t.Errorf("%+v, %v", exit, err)
	}
}
