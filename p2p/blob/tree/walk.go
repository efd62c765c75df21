package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// readAtOnce bounds memory: a folder with millions of names is given up on
// before they are all in it.
const readAtOnce = 1024

// walk lists the folder into p.entries, sorted by path.
func (p *packer) walk(ctx context.Context) error {
	folders := []string{"."}
	for len(folders) > 0 {
		last := len(folders) - 1
		dir := folders[last]
		folders = folders[:last]
		below, err := p.list(ctx, dir)
		if err != nil {
			if dir != "." && p.skipOdd && errors.Is(err, fs.ErrPermission) {
				p.skip(dir + "/")
				continue
			}
			return err
		}
		folders = append(folders, below...)
	}
	slices.SortFunc(p.entries, func(a, b *marketv1.Entry) int { return strings.Compare(a.GetPath(), b.GetPath()) })
	return nil
}

// list adds what one folder holds and returns the folders among it.
func (p *packer) list(ctx context.Context, dir string) (folders []string, err error) {
	f, err := p.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		names, err := f.ReadDir(readAtOnce)
		for _, n := range names {
			e, err := p.entry(path.Join(dir, n.Name()), n.Type())
			if err != nil {
				return nil, err
			}
			if e == nil {
				continue
			}
			if len(p.entries) == p.limits.Entries {
				return nil, fmt.Errorf("%w: more than %d entries", ErrTooMuch, p.limits.Entries)
			}
			p.entries = append(p.entries, e)
			if e.GetDirectory() {
				folders = append(folders, e.GetPath())
			}
		}
		if err == io.EOF {
			return folders, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read folder %q: %w", dir, err)
		}
	}
}

// entry describes one name; nil means that it was skipped.
func (p *packer) entry(name string, kind fs.FileMode) (*marketv1.Entry, error) {
	info, err := p.root.Lstat(name)
	if err == nil {
		kind = info.Mode().Type()
		var e *marketv1.Entry
		if e, err = p.describe(name, info); err == nil {
			return e, nil
		}
	}
	if p.skipOdd {
		p.skip(strings.ToValidUTF8(name, "?"))
		return nil, nil
	}
	return nil, fmt.Errorf("%q (%v): %w", name, kind, err)
}

func (p *packer) describe(name string, info fs.FileInfo) (*marketv1.Entry, error) {
	if !utf8.ValidString(name) {
		return nil, errors.New("name is not UTF-8")
	}
	if len(name) > maxPath {
		return nil, fmt.Errorf("path of %d bytes, at most %d", len(name), maxPath)
	}
	e := &marketv1.Entry{Path: name, Mode: uint32(info.Mode().Perm())}
	switch info.Mode().Type() {
	case 0:
		return e, nil
	case fs.ModeDir:
		e.Directory = true
		return e, nil
	case fs.ModeSymlink:
		target, err := p.root.Readlink(name)
		if err != nil {
			return nil, err
		}
		if !utf8.ValidString(target) || target == "" {
			return nil, errors.New("link target is not UTF-8")
		}
		e.LinkTarget, e.Mode = target, 0
		return e, nil
	}
	return nil, ErrKind
}
