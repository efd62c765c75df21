package runtimetest_test

import (
	"testing"
	"testing/synctest"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

func TestMemoryConformsInABubble(t *testing.T) {
	for _, c := range runtimetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, harness(t)) })
		})
	}
}

func harness(t *testing.T) runtimetest.Harness {
	m := runtimetest.New(t)
	image, blobs := runtimetest.Image("conform")
	if err := m.Pull(t.Context(), image, blobs, nil); err != nil {
		t.Fatal(err)
	}
	return runtimetest.Harness{
		Runtime:       m,
		Image:         image,
		Command:       func(script []string) []string { return script },
		NotExecutable: []string{"/plain/file"},
		NewImage: func(t *testing.T) (runtime.Image, runtime.BlobSource) {
			return runtimetest.Image(t.Name())
		},
		Reopen: func(*testing.T) runtime.Runtime { return m.Reopen() },
	}
}
