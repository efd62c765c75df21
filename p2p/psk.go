package p2p

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/libp2p/go-libp2p/core/pnet"
)

// pskSize is the length of a private network's key in bytes.
const pskSize = 32

// ErrPSK says that a file holds no key of a private network.
var ErrPSK = errors.New("want 64 hexadecimal digits (openssl rand -hex 32), or a file that begins with /key/swarm/psk/1.0.0/")

// ReadPSK reads the key of a private network: 64 hexadecimal digits, or the format
// of libp2p's swarm.key. A file that others may read is refused.
func ReadPSK(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the network's key: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return nil, fmt.Errorf("read the network's key: %s can be read by others: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the network's key: %w", err)
	}
	key, err := parsePSK(text)
	if err != nil {
		return nil, fmt.Errorf("read the network's key: %s: %w", path, err)
	}
	return key, nil
}

// PSKTag tells keys of private networks apart and gives none away: the first eight bytes of
// SHA-256 over "rigmesh/1/psk", a zero byte and the key.
func PSKTag(key []byte) []byte {
	sum := sha256.Sum256(append([]byte("rigmesh/1/psk\x00"), key...))
	return sum[:8]
}

func parsePSK(text []byte) ([]byte, error) {
	if bytes.HasPrefix(text, []byte("/key/")) {
		key, err := pnet.DecodeV1PSK(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPSK, err)
		}
		return key, nil
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != pskSize {
		return nil, ErrPSK
	}
	return key, nil
}
