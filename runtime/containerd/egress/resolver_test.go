//go:build linux

package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/rigmesh/rigmesh/runtime"
)

// changing gives another answer every time, as a name does that means to rebind.
func changing(answers ...string) Lookup {
	n := 0
	return func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		a := netip.MustParseAddr(answers[n%len(answers)])
		n++
		if a.Is4() != (network == "ip4") {
			return nil, nil
		}
		return []netip.Addr{a}, nil
	}
}

// ask asks a server and gives the code and the addresses.
func ask(t *testing.T, s *server, name string, kind dnsmessage.Type) (dnsmessage.RCode, []string) {
	t.Helper()
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	packed, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var reply dnsmessage.Message
	if err := reply.Unpack(s.answer(packed, 512)); err != nil || reply.ID != 7 || !reply.Response {
		t.Fatalf("%+v, %v", reply, err)
	}
	var found []string
	for _, a := range reply.Answers {
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			found = append(found, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			found = append(found, netip.AddrFrom16(body.AAAA).String())
		}
	}
	return reply.RCode, found
}

func TestANameThatLeadsHomeLeadsNowhere(t *testing.T) {
	s := newServer(runtime.Egress{Public: true}, changing("1.1.1.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "::1", "fd00::1"))
	if _, got := ask(t, s, "rebind.test.", dnsmessage.TypeA); !slices.Equal(got, []string{"1.1.1.1"}) {
		t.Errorf("first: %v", got)
	}
	for range 5 {
		code, got := ask(t, s, "rebind.test.", dnsmessage.TypeA)
		if code != dnsmessage.RCodeSuccess || len(got) != 0 {
			t.Errorf("then: %v %v", code, got)
		}
	}
	mapped := newServer(runtime.Egress{Public: true}, func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("64:ff9b::a00:1")}, nil
	})
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		if _, got := ask(t, mapped, "mapped.test.", kind); len(got) != 0 {
			t.Errorf("private in another form: %v", got)
		}
	}
}

func TestOnlyListedNamesAreResolvedAndTheirAddressesAllowedFirst(t *testing.T) {
	s := newServer(runtime.Egress{Hosts: []string{"Good.test", "*.below.test"}}, changing("1.1.1.1"))
	var allowed []netip.Addr
	s.allow = func(a netip.Addr) error { allowed = append(allowed, a); return nil }
	for name, want := range map[string]dnsmessage.RCode{
		"good.test.": dnsmessage.RCodeSuccess, "GOOD.TEST.": dnsmessage.RCodeSuccess, "a.below.test.": dnsmessage.RCodeSuccess,
		"below.test.": dnsmessage.RCodeRefused, "xgood.test.": dnsmessage.RCodeRefused, "a.good.test.": dnsmessage.RCodeRefused,
		"xbelow.test.": dnsmessage.RCodeRefused, "good.test.evil.": dnsmessage.RCodeRefused, ".": dnsmessage.RCodeRefused,
	} {
		if code, _ := ask(t, s, name, dnsmessage.TypeA); code != want {
			t.Errorf("%s: %v, want %v", name, code, want)
		}
	}
	if len(allowed) != 3 {
		t.Errorf("allowed %v", allowed)
	}
}

func TestOtherQuestionsAreAnsweredToo(t *testing.T) {
	s := newServer(runtime.Egress{Public: true}, func(context.Context, string, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	})
	if code, _ := ask(t, s, "nobody.test.", dnsmessage.TypeA); code != dnsmessage.RCodeNameError {
		t.Errorf("a name that is not there: %v", code)
	}
	if code, got := ask(t, s, "mail.test.", dnsmessage.TypeMX); code != dnsmessage.RCodeSuccess || got != nil {
		t.Errorf("another kind: %v %v", code, got)
	}
	if s.answer([]byte("rubbish"), 512) != nil || s.answer(nil, 512) != nil {
		t.Error("an answer to rubbish")
	}
}

func TestANameWithEverNewAddressesGetsSoManyAndNoMore(t *testing.T) {
	passed := 0
	allow := bounded(3, func(netip.Addr) error { passed++; return nil })
	a := netip.MustParseAddr("1.1.1.1")
	for n := range 5 {
		if err := allow(a); (err == nil) != (n < 3) {
			t.Errorf("%s: %v", a, err)
		}
		a = a.Next()
	}
	if err := allow(netip.MustParseAddr("1.1.1.1")); err != nil || passed != 4 {
		t.Errorf("one from before: %v, %d passed", err, passed)
	}
}

func TestAnAddressThatTheKernelForgotMakesRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allow := bounded(2, func(netip.Addr) error { return nil })
		first, second, third := netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("1.1.1.2"), netip.MustParseAddr("1.1.1.3")
		if err := errors.Join(allow(first), allow(second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(allowedFor / 2)
		if err := allow(second); err != nil { // for an hour from now
			t.Error(err)
		}
		time.Sleep(allowedFor/2 + time.Second)
		if err := allow(third); err != nil {
			t.Errorf("in the place of the first: %v", err)
		}
		if err := allow(first); !errors.Is(err, errTooMany) {
			t.Errorf("in the place of one that is allowed still: %v", err)
		}
	})
}

func TestAnAddressThatIsNotAllowedIsLeftOutOfTheAnswer(t *testing.T) {
	s := newServer(runtime.Egress{Hosts: []string{"*.test"}}, func(_ context.Context, _, name string) ([]netip.Addr, error) {
		if name == "none.test" {
			return []netip.Addr{netip.MustParseAddr("1.1.1.2")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("1.1.1.2"), netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("1.1.1.3")}, nil
	})
	s.allow = func(a netip.Addr) error {
		if a == netip.MustParseAddr("1.1.1.1") {
			return nil
		}
		return errTooMany
	}
	if code, got := ask(t, s, "some.test.", dnsmessage.TypeA); code != dnsmessage.RCodeSuccess || !slices.Equal(got, []string{"1.1.1.1"}) {
		t.Errorf("with one of three: %v %v", code, got)
	}
	if code, got := ask(t, s, "none.test.", dnsmessage.TypeA); code != dnsmessage.RCodeServerFailure || len(got) != 0 {
		t.Errorf("with none: %v %v", code, got)
	}
}

func FuzzAnswer(f *testing.F) {
	q := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("good.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	packed, _ := q.Pack()
	f.Add(packed)
	s := newServer(runtime.Egress{Public: true}, changing("1.1.1.1"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if answer := s.answer(message, 512); len(answer) > 512 {
			t.Errorf("%d bytes", len(answer))
		}
	})
}
