//go:build linux && cgo

package main

import (
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// xidWait bounds one wait for an event, in milliseconds.
const xidWait = 1000

// xids tells of Xid errors as the driver reports them. A driver without events
// has none to tell; its samples still come.
func (s *server) xids(units []unit) {
	if !s.lib.has("nvmlEventSetCreate") || !s.lib.has("nvmlDeviceRegisterEvents") {
		return
	}
	set, ret := s.lib.EventSetCreate()
	if ret != nvml.SUCCESS {
		return
	}
	registered := 0
	for _, u := range units {
		if u.parent == "" && u.RegisterEvents(nvml.EventTypeXidCriticalError, set) == nvml.SUCCESS {
			registered++
		}
	}
	for registered > 0 {
		event, ret := set.Wait(xidWait)
		switch ret {
		case nvml.SUCCESS:
			s.tellXid(event)
		case nvml.ERROR_TIMEOUT:
		default: // a lost card makes this return at once, again and again
			<-time.After(xidWait * time.Millisecond)
		}
	}
}

func (s *server) tellXid(event nvml.EventData) {
	if event.EventType != nvml.EventTypeXidCriticalError {
		return
	}
	uuid, ret := event.Device.GetUUID()
	if ret != nvml.SUCCESS {
		return
	}
	s.send(&nvmlv1.Reply{What: &nvmlv1.Reply_Xid{Xid: &nvmlv1.XidEvent{Uuid: uuid, Xid: uint32(event.EventData)}}})
}
