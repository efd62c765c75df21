package tree

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/rigmesh/rigmesh/p2p/blob"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Check says whether a manifest is one that Pack would write: sorted, without
// duplicates, every path inside, every parent a folder that is listed too. So
// nothing can lie below a file or a link.
func Check(m *marketv1.Manifest, l Limits) error {
	l = l.withDefaults()
	if len(m.GetEntries()) > l.Entries {
		return fmt.Errorf("%w: %d entries, at most %d", ErrTooMuch, len(m.GetEntries()), l.Entries)
	}
	folders := map[string]bool{".": true}
	last := ""
	var total uint64
	for _, e := range m.GetEntries() {
		name := e.GetPath()
		if err := checkEntry(e); err != nil {
			return fmt.Errorf("%w: entry %.200q: %w", ErrManifest, name, err)
		}
		if name <= last {
			return fmt.Errorf("%w: entry %.200q is out of order or twice there", ErrManifest, name)
		}
		last = name
		if !folders[path.Dir(name)] {
			return fmt.Errorf("%w: entry %.200q lies in what is not a folder", ErrManifest, name)
		}
		if e.GetDirectory() {
			folders[name] = true
		}
		if total+e.GetSizeBytes() < total || total+e.GetSizeBytes() > l.Bytes {
			return fmt.Errorf("%w: more than %d bytes", ErrTooMuch, l.Bytes)
		}
		total += e.GetSizeBytes()
	}
	return nil
}

func checkEntry(e *marketv1.Entry) error {
	if err := checkPath(e.GetPath()); err != nil {
		return err
	}
	if e.GetMode()&^uint32(fs.ModePerm) != 0 {
		return fmt.Errorf("mode %#o has more than permissions", e.GetMode())
	}
	file, link := e.GetDigest() != "", e.GetLinkTarget() != ""
	if url := e.GetUrl(); url != "" && (!file || len(url) > maxURL || !strings.HasPrefix(url, "http")) {
		return fmt.Errorf("%.200q is no place for its content", url)
	}
	switch {
	case e.GetDirectory() && !file && !link && e.GetSizeBytes() == 0:
		return nil
	case link && !file && !e.GetDirectory() && e.GetSizeBytes() == 0:
		return checkTarget(e.GetLinkTarget())
	case file && !link && !e.GetDirectory():
		return blob.Check(e.GetDigest())
	}
	return fmt.Errorf("neither file, folder nor link")
}

func checkPath(name string) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0) {
		return fmt.Errorf("not a path inside the folder")
	}
	if len(name) > maxPath {
		return fmt.Errorf("path of %d bytes, at most %d", len(name), maxPath)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxName {
			return fmt.Errorf("name of %d bytes, at most %d", len(part), maxName)
		}
	}
	return nil
}

func checkTarget(target string) error {
	if len(target) > maxPath || strings.ContainsRune(target, 0) {
		return fmt.Errorf("link target of %d bytes is none", len(target))
	}
	return nil
}

// staysInside says whether following a link cannot lead out of the folder. A
// ".." may stand only at the front of its target: there it climbs real folders,
// while behind a name it may climb from wherever another link leads.
func staysInside(link, target string) bool {
	if path.IsAbs(target) {
		return false
	}
	depth := strings.Count(link, "/")
	named := false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "" || part == ".":
		case part != "..":
			named = true
		case named:
			return false
		default:
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return true
}
