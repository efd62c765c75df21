package runtime

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// RoomUnder is what the disk of a folder still takes of this user.
func RoomUnder(dir string) (Room, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Room{}, fmt.Errorf("disk under %s: %w", dir, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return Room{}, fmt.Errorf("disk under %s: %w", dir, err)
	}
	return Room{Bytes: int64(free), Files: -1}, nil
}
