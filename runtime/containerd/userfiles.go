//go:build linux

package containerd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// plainUserFiles refuses an image whose lists of users and groups are anything but
// plain files. containerd opens them before it looks: a pipe would block the node for good.
func plainUserFiles(root string) error {
	for _, name := range []string{"etc/passwd", "etc/group"} {
		if err := plain(root, name); err != nil {
			return err
		}
	}
	return nil
}

// plain wants a regular file or none, behind whatever links lead to it within root.
// O_PATH opens nothing that could block.
func plain(root, name string) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %v: %w", name, err, runtime.ErrImage)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s is no plain file: %w", name, runtime.ErrImage)
	}
	return nil
}
