package publicnet_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

func TestTransportRefusesEveryAddressThatIsNotPublic(t *testing.T) {
	c := http.Client{Transport: publicnet.Transport()}
	for host := range strings.FieldsSeq(`0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1
		127.1.2.3 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1
		192.88.99.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
		255.255.255.255 localhost [::] [::1] [::ffff:127.0.0.1] [::ffff:10.0.0.1] [::127.0.0.1] [64:ff9b::7f00:1]
		[64:ff9b::a9fe:a9fe] [64:ff9b:1::a00:1] [2001::1] [2001:db8::1] [2002:7f00:1::] [3fff::1] [fc00::1] [fd00:ec2::254]
		[fe80::1] [fec0::1] [ff02::1]`) {
		resp, err := c.Get("http://" + host + "/")
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, publicnet.ErrNotPublic) {
			t.Errorf("%s: %v, want %v", host, err, publicnet.ErrNotPublic)
		}
	}
}

func TestTransportReachesAServerOnLoopbackByAnExplicitOptionOnly(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer s.Close()
	c := http.Client{Transport: publicnet.Transport(publicnet.AnyAddress())}
	resp, err := c.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "here" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := (&http.Client{Transport: publicnet.Transport()}).Get(s.URL); !errors.Is(err, publicnet.ErrNotPublic) {
		t.Errorf("without the option: %v", err)
	}
}

func TestTransportUsesNoProxy(t *testing.T) {
	if publicnet.Transport().Proxy != nil {
		t.Error("a proxy would resolve names for us")
	}
}

func TestRedirectsEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }))
	defer s.Close()
	c := http.Client{Transport: publicnet.Transport(publicnet.AnyAddress()), CheckRedirect: publicnet.CheckRedirect}
	resp, err := c.Get(s.URL)
	if err == nil {
		t.Fatal("a redirect to itself came to an end")
	}
	_ = resp.Body.Close()
	if !strings.Contains(err.Error(), "redirected more than") {
		t.Error(err)
	}
}
