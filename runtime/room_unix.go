//go:build linux || darwin

package runtime

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// RoomUnder is what the disk of a folder still takes of whoever is not root.
func RoomUnder(dir string) (Room, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Room{}, fmt.Errorf("disk under %s: %w", dir, err)
	}
	room := Room{Bytes: int64(fs.Bavail) * int64(fs.Bsize), Files: -1}
	if fs.Files > 0 { // btrfs and its like count none
		room.Files = int64(fs.Ffree)
	}
	return room, nil
}
