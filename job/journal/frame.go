package journal

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The log begins with its header and goes on with frames:
//
//	4  length of the body, little-endian
//	4  CRC-32C of the length, the hash before and the body
//	32 SHA-256 of the frame before; of the header, in the first frame
//	   body: one encoded record
const (
	logName     = "00000001.log"
	logHeader   = "rigmesh journal 1\n"
	frameHeader = 4 + 4 + sha256.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Why a frame cannot be read. errShort may be a torn tail; errFrame is not one by itself.
var (
	errShort = errors.New("the record is incomplete")
	errFrame = errors.New("the record is damaged")
)

// start is the position of the first frame.
func start() position {
	return position{offset: int64(len(logHeader)), hash: sha256.Sum256([]byte(logHeader))}
}

// frame wraps a body for this position and gives the position after it.
func (p position) frame(body []byte) ([]byte, position) {
	f := make([]byte, frameHeader+len(body))
	binary.LittleEndian.PutUint32(f[0:4], uint32(len(body)))
	copy(f[8:frameHeader], p.hash[:])
	copy(f[frameHeader:], body)
	binary.LittleEndian.PutUint32(f[4:8], checksum(f))
	return f, p.after(f)
}

func (p position) after(frame []byte) position {
	return position{offset: p.offset + int64(len(frame)), records: p.records + 1, hash: sha256.Sum256(frame)}
}

// checksum is over a whole frame but for the checksum's own field.
func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[0:4], castagnoli), castagnoli, frame[8:])
}

// scanner reads frames from the start of a log up to a given size, and checks the chain.
type scanner struct {
	in  *bufio.Reader
	pos position // after the last good frame
}

func newScanner(log io.ReaderAt, size int64) *scanner {
	p := start()
	section := io.NewSectionReader(log, p.offset, max(0, size-p.offset))
	return &scanner{in: bufio.NewReaderSize(section, 64<<10), pos: p}
}

// next gives the body of the next frame, or io.EOF at the end of the log, or
// errShort, errFrame, or the trouble of reading. After an error pos is where the bad frame begins.
func (s *scanner) next() ([]byte, error) {
	header := make([]byte, frameHeader)
	if n, err := io.ReadFull(s.in, header); err != nil {
		if n > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errShort
		}
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header[0:4])
	if length > MaxRecord {
		return nil, fmt.Errorf("%w: it claims %d bytes", errFrame, length)
	}
	frame := make([]byte, frameHeader+int(length))
	copy(frame, header)
	if _, err := io.ReadFull(s.in, frame[frameHeader:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errShort
		}
		return nil, err
	}
	if binary.LittleEndian.Uint32(frame[4:8]) != checksum(frame) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errFrame)
	}
	if hash(frame[8:frameHeader]) != s.pos.hash {
		return nil, fmt.Errorf("%w: it does not follow the one before it", errFrame)
	}
	s.pos = s.pos.after(frame)
	return frame[frameHeader:], nil
}

// Records reads the records of whole frames, as they are written to the log. Their chain is
// not checked: it is for a file layer that wants to know what passes through it.
func Records(frames []byte) ([]Record, error) {
	var out []Record
	for len(frames) > 0 {
		if len(frames) < frameHeader {
			return nil, errShort
		}
		end := frameHeader + int(binary.LittleEndian.Uint32(frames))
		if end < frameHeader || end > len(frames) {
			return nil, errShort
		}
		r, err := decode(frames[frameHeader:end])
		if err != nil {
			return nil, err
		}
		out, frames = append(out, r), frames[end:]
	}
	return out, nil
}
