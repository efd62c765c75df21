package control

import (
	"errors"
	"testing"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

func TestTheOwnersWordsGoThrough(t *testing.T) {
	c := newFakeNode().dial(t)
	if n, err := c.Say(t.Context(), controlv1.Word_WORD_PAUSE); n != 2 || err != nil {
		t.Errorf("%d leases, %v", n, err)
	}
	if _, err := c.Say(t.Context(), controlv1.Word_WORD_UNSPECIFIED); !errors.Is(err, ErrInvalid) {
		t.Errorf("no word: %v", err)
	}
	if d, err := c.Devices(t.Context()); err != nil || len(d.Devices) != 1 {
		t.Errorf("%v, %v", d, err)
	}
	if text, err := c.Config(t.Context()); string(text) != "network: lab\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := c.PutConfig(t.Context(), []byte("network: a\n")); err != nil {
		t.Error(err)
	}
	if err := c.PutConfig(t.Context(), []byte("bad")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a bad one: %v", err)
	}
}
