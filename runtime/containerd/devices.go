//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// deviceMounts show a task the devices it was lent, and their driver's files. A user
// namespace makes no device files, so the host's are bound; their owner is nobody
// inside, so what everybody may do is what the task may do.
func deviceMounts(d runtime.Devices) []specs.Mount {
	var mounts []specs.Mount
	for _, f := range d.Nodes {
		mounts = append(mounts, specs.Mount{Type: "bind", Source: f.Source, Destination: f.Target,
			Options: []string{"bind", "rw", "nosuid", "noexec", "rprivate"}})
	}
	for _, f := range d.Files {
		mounts = append(mounts, specs.Mount{Type: "bind", Source: f.Source, Destination: f.Target,
			Options: []string{"bind", "ro", "nosuid", "nodev", "rprivate"}})
	}
	return mounts
}

// withDeviceRules lets a task read and write its device files, and no others.
func withDeviceRules(d runtime.Devices) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		for _, node := range d.Nodes {
			rule, err := deviceRule(node.Source)
			if err != nil {
				return fmt.Errorf("device file %s: %w", node.Source, err)
			}
			s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, rule)
		}
		return nil
	}
}

func deviceRule(node string) (specs.LinuxDeviceCgroup, error) {
	var st unix.Stat_t
	if err := unix.Stat(node, &st); err != nil {
		return specs.LinuxDeviceCgroup{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return specs.LinuxDeviceCgroup{}, errors.New("it is no character device")
	}
	if st.Mode&0o006 != 0o006 {
		return specs.LinuxDeviceCgroup{}, fmt.Errorf("its mode is %#o, and a task owns nothing of the host: "+
			"everybody has to be let in, 0666 (NVIDIA's module takes NVreg_DeviceFileMode=0666)", st.Mode&0o777)
	}
	major, minor := int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
	return specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rw"}, nil
}
