package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// remedy ends every refusal.
const remedy = "restore the whole folder from a backup taken while the node was stopped, " +
	"or move it away to begin anew: leases recorded in it cannot be continued then, their last receipts stay valid"

func (j *Journal) open() error {
	if err := j.refuseLaterFiles(); err != nil {
		return err
	}
	headFile, err := j.files.Open(headName)
	if err != nil {
		return err
	}
	j.head = &head{file: headFile}
	if j.log, err = j.files.Open(logName); err != nil {
		return err
	}
	opened, st, err := openHead(headFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", j.files.Path(headName), err)
	}
	j.head = opened
	size, err := j.log.Size()
	if err != nil {
		return err
	}
	if st.fresh && size <= int64(len(logHeader)) {
		return j.begin()
	}
	return j.resume(st, size)
}

// begin starts an empty journal. A crash in here is repeated by the next begin:
// the head is written last.
func (j *Journal) begin() error {
	j.end = start()
	if err := j.log.Truncate(0); err != nil {
		return err
	}
	if _, err := j.log.WriteAt([]byte(logHeader), 0); err != nil {
		return err
	}
	// The head is made as long as it will ever be, so that no later commit needs room for it.
	if err := j.head.file.Truncate(2 * slotPage); err != nil {
		return err
	}
	if err := errors.Join(j.log.Sync(), j.files.Sync()); err != nil {
		return err
	}
	return j.head.write(j.end)
}

// resume checks the whole log against the head and cuts what a crash left unfinished.
func (j *Journal) resume(st headState, size int64) error {
	if err := j.checkHeader(st, size); err != nil {
		return err
	}
	s := newScanner(j.log, size)
	var stop error
	met := s.pos == st.committed
	for stop == nil {
		var body []byte
		if body, stop = s.next(); stop == nil {
			if _, err := decode(body); err != nil {
				return j.corrupt(s.pos, err)
			}
			met = met || s.pos == st.committed
		}
	}
	if !errors.Is(stop, io.EOF) && !errors.Is(stop, errShort) && !errors.Is(stop, errFrame) {
		return fmt.Errorf("read %s: %w", j.files.Path(logName), stop)
	}
	if err := j.judge(s.pos, st, met, stop, size); err != nil {
		return err
	}
	return j.settle(s.pos, size)
}

// judge decides what it means that good records end at pos.
func (j *Journal) judge(pos position, st headState, met bool, stop error, size int64) error {
	log := j.files.Path(logName)
	switch {
	case st.fresh && st.torn:
		return fmt.Errorf("%w: both slots of %s are damaged; %s", ErrCorrupt, j.files.Path(headName), remedy)
	case st.fresh:
		return fmt.Errorf("%w: %s is not empty but %s is missing; %s", ErrRolledBack, log, j.files.Path(headName), remedy)
	case size < st.committed.offset:
		return fmt.Errorf("%w: %s has %d bytes but %d were committed; %s", ErrRolledBack, log, size, st.committed.offset, remedy)
	case pos.offset < st.committed.offset:
		return j.corrupt(pos, stop)
	case !met:
		return fmt.Errorf("%w: %s differs from what was committed at byte %d; %s", ErrRolledBack, log, st.committed.offset, remedy)
	case st.torn && !errors.Is(stop, io.EOF):
		// The damaged slot was being written, or was written: so the log had been
		// synced beyond the good slot, and a broken record there may have been promised.
		return j.corrupt(pos, stop)
	}
	return nil
}

// settle makes pos the end: what lies beyond was never promised to anybody, and
// what lies between the head and pos is durable from now on.
func (j *Journal) settle(pos position, size int64) error {
	if j.cut = size - pos.offset; j.cut > 0 {
		if err := j.log.Truncate(pos.offset); err != nil {
			return fmt.Errorf("cut torn tail: %w", err)
		}
	}
	if err := j.log.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", j.files.Path(logName), err)
	}
	j.end = pos
	return j.head.write(pos)
}

func (j *Journal) checkHeader(st headState, size int64) error {
	got := make([]byte, min(size, int64(len(logHeader))))
	if _, err := j.log.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", j.files.Path(logName), err)
	}
	if !bytes.HasPrefix([]byte(logHeader), got) {
		return j.corrupt(position{}, errors.New("this is not the beginning of a journal"))
	}
	if len(got) < len(logHeader) {
		return fmt.Errorf("%w: %s has %d bytes but %d were committed; %s",
			ErrRolledBack, j.files.Path(logName), size, st.committed.offset, remedy)
	}
	return nil
}

// refuseLaterFiles keeps this version from going on in the middle of a journal that a later one has continued.
func (j *Journal) refuseLaterFiles() error {
	names, err := j.files.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") && name != logName {
			return fmt.Errorf("%w: %s was written by a later version of this program: use that version",
				ErrCorrupt, j.files.Path(name))
		}
	}
	return nil
}

func (j *Journal) corrupt(pos position, cause error) error {
	return fmt.Errorf("%w: %s, record %d at byte %d: %w; %s",
		ErrCorrupt, j.files.Path(logName), pos.records+1, pos.offset, cause, remedy)
}
