// Package history reads what nodes wrote down and decides whether it could have
// come from honest ones: it knows the messages and none of the code that makes them.
package history

import (
	"bytes"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// slot is a place that one side may fill with one statement only.
type slot struct {
	kind     string
	lease    string
	interval uint64
}

// Statements is what one node signed, by slot.
type Statements map[slot][]byte

// Read checks the journal of a node that is not running: no two different
// statements for one slot. It says how many statements there are of each type. A folder
// that is not there is an error, and not made.
func Read(dir string) (map[string]int, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	files, err := journal.Dir(dir)
	if err != nil {
		return nil, err
	}
	return ReadFS(files)
}

// ReadFS is Read on any file layer.
func ReadFS(files journal.FS) (map[string]int, error) {
	j, err := journal.OpenFS(files)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	seen, count := Statements{}, map[string]int{}
	err = j.Replay(func(r journal.Record) error {
		for _, b := range r.Statements {
			var s marketv1.Signed
			if err := proto.Unmarshal(b, &s); err != nil {
				return fmt.Errorf("statement in a record of %s: %w", r.Key, err)
			}
			count[s.Type]++
			if err := seen.add(&s); err != nil {
				return err
			}
		}
		return nil
	})
	return count, err
}

// add takes a statement in, and refuses one whose slot is filled differently.
func (st Statements) add(s *marketv1.Signed) error {
	at, ok, err := slotOf(s)
	if err != nil || !ok {
		return err
	}
	if have, filled := st[at]; filled && !bytes.Equal(have, s.Payload) {
		return fmt.Errorf("two different statements of type %s for interval %d of lease %.8s", at.kind, at.interval, at.lease)
	}
	st[at] = s.Payload
	return nil
}

// slotOf says which slot a statement fills; a challenge fills none.
func slotOf(s *marketv1.Signed) (slot, bool, error) {
	at := func(lease []byte, interval uint64) (slot, bool, error) {
		return slot{s.Type, fmt.Sprintf("%x", lease), interval}, true, nil
	}
	switch s.Type {
	case "beat":
		var b leasev1.Beat
		if err := proto.Unmarshal(s.Payload, &b); err != nil {
			return slot{}, false, err
		}
		return at(b.LeaseId, b.Interval)
	case "ack":
		var a leasev1.Ack
		if err := proto.Unmarshal(s.Payload, &a); err != nil {
			return slot{}, false, err
		}
		return at(a.LeaseId, a.Interval)
	case "close":
		var c leasev1.Close
		if err := proto.Unmarshal(s.Payload, &c); err != nil {
			return slot{}, false, err
		}
		return at(c.LeaseId, 0)
	}
	return slot{}, false, nil
}
