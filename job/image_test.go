package job

import "testing"

func TestAnImageIsKnownByItsFullName(t *testing.T) {
	for ref, want := range map[string]string{
		"":                                 "",
		"alpine":                           "docker.io/library/alpine",
		"alpine:3.20":                      "docker.io/library/alpine",
		"alpine@sha256:00":                 "docker.io/library/alpine",
		"pytorch/pytorch:2.8":              "docker.io/pytorch/pytorch",
		"docker.io/alpine":                 "docker.io/library/alpine",
		"index.docker.io/library/alpine":   "docker.io/library/alpine",
		"ghcr.io/o/p:v1@sha256:00":         "ghcr.io/o/p",
		"localhost:5000/a":                 "localhost:5000/a",
		"localhost/a:1":                    "localhost/a",
		"nvcr.io/nvidia/pytorch:25.10-py3": "nvcr.io/nvidia/pytorch",
	} {
		if got := ImageName(ref); got != want {
			t.Errorf("%q is %q, want %q", ref, got, want)
		}
	}
}
