package evidence

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Trim leaves out of a close's evidence what the last co-signed beat says as well:
// a receipt holds both.
func Trim(e, last *leasev1.Evidence) *leasev1.Evidence {
	if e == nil {
		return nil
	}
	e = proto.CloneOf(e)
	if e.GetTaskId() == last.GetTaskId() {
		e.TaskId = ""
	}
	if e.GetImageDigest() == last.GetImageDigest() {
		e.ImageDigest = ""
	}
	if d, was := e.GetDevices(), last.GetDevices(); d != nil {
		if bytes.Equal(d.GetDevicesHash(), was.GetDevicesHash()) {
			d.DevicesHash = nil
		}
		if d.GetDriver() == was.GetDriver() {
			d.Driver = ""
		}
	}
	return e
}

// Complete puts back what Trim left out.
func Complete(e, last *leasev1.Evidence) *leasev1.Evidence {
	if e == nil {
		return nil
	}
	e = proto.CloneOf(e)
	if e.GetTaskId() == "" {
		e.TaskId = last.GetTaskId()
	}
	if e.GetImageDigest() == "" {
		e.ImageDigest = last.GetImageDigest()
	}
	if d, was := e.GetDevices(), last.GetDevices(); d != nil {
		if len(d.GetDevicesHash()) == 0 {
			d.DevicesHash = was.GetDevicesHash()
		}
		if d.GetDriver() == "" {
			d.Driver = was.GetDriver()
		}
	}
	return e
}
