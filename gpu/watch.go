package gpu

// Watcher is told what is seen of devices, once a second and as it happens. It is
// called from one goroutine, and must not block.
type Watcher interface {
	// Samples are those of one period, of the devices that answered.
	Samples([]Sample)
	// Changed says that a device fell out of service or is back in it.
	Changed(Change)
}
