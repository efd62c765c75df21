//go:build linux && cgo

package main

// #include <stdlib.h>
// #include "scrub.h"
import "C"

import (
	"fmt"
	"os"
	"unsafe"

	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// scrub overwrites the free memory of one device. It keeps all of it until this
// process ends, and works once in a process: CUDA reads its environment once.
func scrub(uuid string) (*nvmlv1.Scrubbed, error) {
	// Other devices stay out of it, and the one has the number 0 even when it is a slice.
	if err := os.Setenv("CUDA_VISIBLE_DEVICES", uuid); err != nil {
		return nil, err
	}
	library := C.CString(cudaLibrary())
	defer C.free(unsafe.Pointer(library))
	var s C.struct_scrub
	if C.scrub(library, &s) != 0 {
		if s.code != 0 {
			return nil, fmt.Errorf("clear the memory of %s: %s: CUDA error %d", uuid, C.GoString(s.step), int(s.code))
		}
		return nil, fmt.Errorf("clear the memory of %s: %s", uuid, C.GoString(s.step))
	}
	return &nvmlv1.Scrubbed{ClearedBytes: uint64(s.cleared), FreeBytes: uint64(s.free), TotalBytes: uint64(s.total)}, nil
}
