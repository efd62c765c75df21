package ociregistry_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime/oci"
	"github.com/rigmesh/rigmesh/runtime/ociregistry"
)

func TestNamesAreReadAsDockerReadsThem(t *testing.T) {
	const sum = "sha256:9a5b8c6d7e9a5b8c6d7e9a5b8c6d7e9a5b8c6d7e9a5b8c6d7e9a5b8c6d7e1234"
	for _, c := range []struct {
		text, whole, host string
		insecure          bool
	}{
		{"busybox", "docker.io/library/busybox:latest", "index.docker.io", false},
		{"alpine:3.20", "docker.io/library/alpine:3.20", "index.docker.io", false},
		{"pytorch/pytorch:2.8", "docker.io/pytorch/pytorch:2.8", "index.docker.io", false},
		{"docker.io/busybox", "docker.io/library/busybox:latest", "index.docker.io", false},
		{"ghcr.io/o/p@" + sum, "ghcr.io/o/p@" + sum, "ghcr.io", false},
		{"busybox:1@" + sum, "docker.io/library/busybox@" + sum, "index.docker.io", false},
		{"localhost/a", "localhost/a:latest", "localhost", true},
		{"localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000", true},
		{"127.0.0.2:5000/a", "127.0.0.2:5000/a:latest", "127.0.0.2:5000", true},
		{"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000", true},
		{"registry.example:5000/a/b/c", "registry.example:5000/a/b/c:latest", "registry.example:5000", false},
	} {
		whole, host, insecure, err := ociregistry.Name(c.text)
		if whole != c.whole || host != c.host || insecure != c.insecure || err != nil {
			t.Errorf("%s: %s at %s, insecure %v, %v", c.text, whole, host, insecure, err)
		}
	}
	for text, why := range map[string]string{
		"":                                     "invalid reference format",
		"Busybox":                              "must be lowercase",
		"busybox:":                             "invalid reference format",
		"docker://busybox":                     "invalid reference format",
		"busybox@sha256:short":                 "invalid",
		"-v":                                   "invalid reference format",
		strings.Repeat("a/", 200) + "a":        "255",
		"a@sha512:" + strings.Repeat("0", 128): "no SHA-256",
		"user:password@registry.example/a":     "invalid",
		strings.TrimPrefix(sum, "sha256:"):     "64-byte hexadecimal",
	} {
		_, err := ociregistry.Open(t.Context(), text, "")
		if !errors.Is(err, ociregistry.ErrReference) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
}

// answering is a registry that gives one answer to every question about a manifest.
func answering(t *testing.T, contentType string, body any) (host string) {
	t.Helper()
	content, ok := body.([]byte)
	if !ok {
		var err error
		if content, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	return serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(content)
		})
	})
}

func TestWhatIsNoContainerImageIsRefusedWithTheReason(t *testing.T) {
	withoutLogin(t)
	ociregistry.Hurry(t)
	const manifest = "application/vnd.oci.image.manifest.v1+json"
	type object = map[string]any
	for _, c := range []struct {
		name, contentType string
		body              any
		says              string
	}{
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", object{"schemaVersion": 1}, "Docker's schema 1"},
		{"schema 1, badly labelled", "application/json", object{"schemaVersion": 1}, "Docker's schema 1"},
		{"something else", "text/html", []byte("<html>"), "invalid character"},
		{"another type", "application/json", object{"schemaVersion": 2}, `"application/json" is no container image`},
		{"two types", manifest, object{"mediaType": "application/vnd.oci.image.index.v1+json"}, "calls itself"},
		{"endless", manifest, append([]byte(`{"schemaVersion":2,"x":"`), make([]byte, oci.MaxDocument)...), "over 4194304 bytes"},
	} {
		_, err := ociregistry.Open(t.Context(), answering(t, c.contentType, c.body)+"/a:1", "")
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.HasPrefix(c.name, "schema 1") && !errors.Is(err, ociregistry.ErrSchema1) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestARegistryMayNotSendUsWhereNothingIsEncrypted(t *testing.T) {
	withoutLogin(t)
	ociregistry.Hurry(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		http.Redirect(w, r, "http://192.0.2.1/elsewhere", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	_, err := ociregistry.Open(t.Context(), strings.TrimPrefix(s.URL, "http://")+"/a:1", "")
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1") || !strings.Contains(err.Error(), "does not encrypt") {
		t.Error(err)
	}
}
