package config

import (
	"path/filepath"
	"strconv"
)

// Reach is what a person decided about how this node and others find a way to each other.
type Reach struct {
	// MDNS looks for nodes on the local networks, and answers those that look.
	MDNS bool
	// PortMap asks the router to forward our ports, by UPnP or NAT-PMP.
	PortMap bool
	// RelayBytes is what a connection of two others that runs through this node may carry
	// each way, once strangers can reach it; 0: it relays nothing.
	RelayBytes uint64
	// UploadMax is how many bytes a second of images and files others may have from this node,
	// all of them together; 0: as many as there is room for.
	UploadMax uint64
	// PSK is the file with the key of a private network; empty: an open one.
	PSK string
}

// defaultReach relays the messages of a lease and its log, not its data.
func defaultReach() Reach { return Reach{MDNS: true, PortMap: true, RelayBytes: 16 << 20} }

// minUpload is the least that is of use to anybody: a peer with less is left for another.
const minUpload = 64 << 10

// maxRelayBytes is beyond any lease's data: a connection that is cut is made anew.
const maxRelayBytes = 1 << 40

// reach sets what the file says about it.
func (f file) reach(r *Reach) {
	set(&r.MDNS, f.MDNS)
	set(&r.PortMap, f.PortMap)
	set((*Bytes)(&r.RelayBytes), f.Relay)
	set((*Bytes)(&r.UploadMax), f.UploadMax)
	set(&r.PSK, f.PSK)
}

// check names everything that is wrong with it.
func (r Reach) check(wrong func(format string, args ...any)) {
	if r.RelayBytes > maxRelayBytes {
		wrong("relay %s: at most %s", Bytes(r.RelayBytes), Bytes(maxRelayBytes))
	}
	if r.UploadMax > 0 && r.UploadMax < minUpload {
		wrong("upload-max %s: want at least %s a second, or 0 for no bound", Bytes(r.UploadMax), Bytes(minUpload))
	}
	if r.PSK != "" && !filepath.IsAbs(r.PSK) {
		wrong("psk %q: want the absolute path of a file", r.PSK)
	}
}

// Switch is yes or no.
type Switch bool

// Set reads true or false.
func (s *Switch) Set(text string) error {
	v, err := strconv.ParseBool(text)
	if err == nil {
		*s = Switch(v)
	}
	return err
}
