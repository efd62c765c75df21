package job

import (
	"strings"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// PublicName is what an announcement says of an image's name: nothing, unless its registry
// gives it to everybody. An announcement is small, so a very long one is left out too.
func PublicName(i *marketv1.Image) string {
	name := ImageName(i.GetName())
	if !i.GetPublic() || len(name) > MaxNameBytes {
		return ""
	}
	return name
}

// ImageName is the full name of what a person calls "alpine:3.20", without tag and digest:
// "docker.io/library/alpine". It is empty for an empty name.
func ImageName(ref string) string {
	name, _, _ := strings.Cut(ref, "@")
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name = name[:at]
	}
	if name == "" {
		return ""
	}
	host, path, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = "docker.io", name
	}
	if host == "index.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host + "/" + path
}
