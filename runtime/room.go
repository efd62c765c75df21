package runtime

// Room is what a disk still takes.
type Room struct {
	Bytes int64
	Files int64 // -1 where the file system has no bound on them
}

// How little is none: what a task, or a node's own books, want at least.
const (
	leastBytes = 16 << 20
	leastFiles = 64
)

// NoFiles says that the disk takes no more files, however many bytes it has left.
func (r Room) NoFiles() bool { return r.Files >= 0 && r.Files < leastFiles }

// Full says that nothing new can be made on the disk.
func (r Room) Full() bool { return r.Bytes < leastBytes || r.NoFiles() }
