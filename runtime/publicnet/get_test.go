package publicnet

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAFileOfTheWebIsReadFromAnOffset(t *testing.T) {
	ranges := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	}))
	defer ranges.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") }))
	defer plain.Close()
	client := &http.Client{Transport: Transport(AnyAddress()), CheckRedirect: CheckRedirect}
	for _, s := range []*httptest.Server{ranges, plain} {
		for offset, want := range map[int64]string{0: "0123456789", 7: "789"} {
			body, err := Get(t.Context(), client, s.URL+"/x", offset)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(body); string(b) != want || err != nil || body.Close() != nil {
				t.Errorf("from %d on: %q, %v", offset, b, err)
			}
		}
	}
	if _, err := Get(t.Context(), &http.Client{Transport: Transport()}, ranges.URL, 0); !errors.Is(err, ErrNotPublic) {
		t.Errorf("without leave a server on loopback is reached: %v", err)
	}
}

func TestOnlyPlainWebAddressesAreFetched(t *testing.T) {
	for text, good := range map[string]bool{
		"https://example.org/a?b=c": true, "http://example.org:8080/": true,
		"ftp://example.org/a": false, "file:///etc/passwd": false, "https:///a": false, "https://me:secret@example.org/": false, "https://example.org/#a": false, "\x00": false,
	} {
		if err := CheckURL(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
