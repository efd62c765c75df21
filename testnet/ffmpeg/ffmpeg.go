//go:build linux

// Package ffmpeg makes an image of a real program that nobody here wrote:
// Debian's ffmpeg. Its packages are fetched and unpacked; nothing is installed.
package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// Image is ffmpeg as an OCI archive, and the tree it was made from.
type Image struct {
	Archive string // OCI archive; runs `ffmpeg` when a job names it
	Rootfs  string // the same files, for Command
}

// Make gives the image kept in the folder cache, and makes it there first when
// it is missing. That takes Debian's apt-get, its mirror and a minute. Several
// processes may ask at once.
func Make(ctx context.Context, cache string) (Image, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return Image{}, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Image{}, err
	}
	release, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return Image{}, err
	}
	defer release()
	image := Image{Archive: filepath.Join(cache, "ffmpeg.oci.tar"), Rootfs: filepath.Join(cache, "rootfs")}
	// The archive is renamed into its place last: where it is, all is there.
	if _, err := os.Stat(image.Archive); !errors.Is(err, fs.ErrNotExist) {
		return image, err
	}
	if err := os.RemoveAll(image.Rootfs); err != nil {
		return Image{}, err
	}
	if err := makeRootfs(ctx, image.Rootfs, filepath.Join(cache, "packages")); err != nil {
		return Image{}, fmt.Errorf("unpack ffmpeg: %w", err)
	}
	partial := image.Archive + ".partial"
	err = ociimage.FromDir(partial, image.Rootfs, ociimage.Options{
		Name: "local/ffmpeg:latest",
		Env:  []string{"PATH=/usr/bin:/bin"},
		Cmd:  []string{"ffmpeg", "-version"},
	})
	if err != nil {
		return Image{}, err
	}
	return image, os.Rename(partial, image.Archive)
}

// Command is a program of the image, ffprobe for instance, run on this machine
// and not in a container: a check of what a job made. Inside it dir is /tmp. It needs root.
func (i Image) Command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	// A mount in a namespace of its own ends with the program.
	script := `mount --bind "$1" "$2/tmp" && shift && exec chroot "$@"`
	all := append([]string{"--mount", "sh", "-c", script, "sh", dir, i.Rootfs, "/usr/bin/" + name}, args...)
	cmd := exec.CommandContext(ctx, "unshare", all...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	return cmd
}

// lock waits for the file at path to be ours alone.
func lock(path string) (release func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { file.Close() }, nil
}
