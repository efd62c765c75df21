package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The head file has two slots of one page each, written in turn, so that a
// crash in the middle of one leaves the other:
//
//	8  magic
//	8  commit number: slot = commit mod 2
//	8  offset   8  records   32 hash   of what is committed
//	4  CRC-32C of all that
const (
	headName  = "head"
	headMagic = "rigmhd1\n"
	slotSize  = 8 + 8 + 8 + 8 + 32 + 4
	slotPage  = 4096
)

// head writes down how much of the log was committed.
type head struct {
	file   File
	commit uint64 // number of the last commit written
}

// headState is what the head file said when it was opened.
type headState struct {
	committed position
	fresh     bool // no slot was ever completed: the journal is new, or the head was lost
	torn      bool // a slot is damaged: a commit after committed may have reached the log
}

// openHead reads the newest good slot.
func openHead(f File) (*head, headState, error) {
	var newest uint64
	st := headState{committed: start()}
	for i := range int64(2) {
		commit, pos, err := readSlot(f, i)
		switch {
		case errors.Is(err, errSlot):
			st.torn = true
		case err != nil:
			return nil, headState{}, err
		case commit > newest:
			newest, st.committed = commit, pos
		}
	}
	st.fresh = newest == 0
	return &head{file: f, commit: newest}, st, nil
}

var errSlot = errors.New("damaged slot")

// readSlot gives commit 0 for a slot that was never written, and errSlot for one that cannot be believed.
func readSlot(f File, slot int64) (uint64, position, error) {
	b := make([]byte, slotSize)
	n, err := f.ReadAt(b, slot*slotPage)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, position{}, err
	}
	if blank(b) {
		return 0, position{}, nil
	}
	sum := crc32.Checksum(b[:slotSize-4], castagnoli)
	commit := binary.LittleEndian.Uint64(b[8:])
	if n < slotSize || string(b[:8]) != headMagic || sum != binary.LittleEndian.Uint32(b[slotSize-4:]) || commit%2 != uint64(slot) {
		return 0, position{}, errSlot
	}
	return commit, position{
		offset:  int64(binary.LittleEndian.Uint64(b[16:])),
		records: binary.LittleEndian.Uint64(b[24:]),
		hash:    hash(b[32:64]),
	}, nil
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// write makes a new committed position durable.
func (h *head) write(p position) error {
	commit := h.commit + 1
	b := make([]byte, 0, slotSize)
	b = append(b, headMagic...)
	b = binary.LittleEndian.AppendUint64(b, commit)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.offset))
	b = binary.LittleEndian.AppendUint64(b, p.records)
	b = append(b, p.hash[:]...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := h.file.WriteAt(b, int64(commit%2)*slotPage); err != nil {
		return err
	}
	if err := h.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	h.commit = commit
	return nil
}
