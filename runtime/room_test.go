package runtime

import "testing"

func TestADiskIsFullWithoutBytesOrWithoutFiles(t *testing.T) {
	for _, c := range []struct {
		room          Room
		full, noFiles bool
	}{
		{Room{Bytes: 1 << 30, Files: 1000}, false, false},
		{Room{Bytes: 1 << 30, Files: -1}, false, false},
		{Room{Bytes: 1 << 20, Files: 1000}, true, false},
		{Room{Bytes: 1 << 20, Files: -1}, true, false},
		{Room{Bytes: 1 << 30, Files: 3}, true, true},
		{Room{}, true, true},
	} {
		if c.room.Full() != c.full || c.room.NoFiles() != c.noFiles {
			t.Errorf("%+v: full %v, no files %v", c.room, c.room.Full(), c.room.NoFiles())
		}
	}
	room, err := RoomUnder(t.TempDir())
	if err != nil || room.Bytes <= 0 || room.Files == 0 {
		t.Errorf("%+v, %v", room, err)
	}
	if _, err := RoomUnder(t.TempDir() + "/none"); err == nil {
		t.Error("a folder that is not there has room")
	}
}
