package node

import "github.com/rigmesh/rigmesh/runtime/containerd/assets"

// nvmlHelper is the path of the program that reads NVIDIA's devices, which this one carries.
func nvmlHelper(dir string) (string, error) { return assets.ExtractNVML(dir) }
