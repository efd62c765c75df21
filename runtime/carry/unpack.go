package carry

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Errors a caller decides on.
var (
	// ErrUnsafe: the stream wants something made that it must not.
	ErrUnsafe = errors.New("refused")
	// ErrTooMuch: there is more in the stream than is allowed.
	ErrTooMuch = errors.New("more than is allowed")
)

// Options say what may be unpacked.
type Options struct {
	Bytes   int64 // of all files together
	Entries int
	// OutsideLinks makes links that lead out of the folder too. Without it they are left
	// out: on a person's own machine they would point at the person's own files.
	OutsideLinks bool
	// Skipped is told of links that are left out.
	Skipped func(name string)
}

// maxName is the longest name below the folder, in bytes.
const maxName = 4096

// Unpack makes what a stream holds at dest, as cp does: in dest under the name of base if
// dest is a folder, and as dest itself otherwise. A base of "." is the content of a folder
// alone. Files that are there are replaced. After an error a part may be there.
func Unpack(r io.Reader, dest, base string, o Options) error {
	u := &unpacker{tar: tar.NewReader(r), Options: o}
	first, err := u.next()
	if err == nil && first.Name != "." && first.Name != "./" {
		err = fmt.Errorf("%w: the stream begins with %q", ErrUnsafe, first.Name)
	}
	if err != nil {
		return err
	}
	if first.Typeflag != tar.TypeDir {
		return u.file(first, dest, base)
	}
	if err := u.open(dest, base); err != nil {
		return err
	}
	defer u.root.Close()
	for {
		h, err := u.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = u.make(h)
		}
		if err != nil {
			return err
		}
	}
}

type unpacker struct {
	Options
	tar  *tar.Reader
	root *os.Root
}

func (u *unpacker) next() (*tar.Header, error) {
	h, err := u.tar.Next()
	if err != nil {
		return nil, err
	}
	if u.Entries--; u.Entries < 0 {
		return nil, fmt.Errorf("%w: too many files", ErrTooMuch)
	}
	return h, nil
}

// file is a stream of one file.
func (u *unpacker) file(h *tar.Header, dest, base string) error {
	dir, name := filepath.Split(dest)
	if fi, err := os.Stat(dest); err == nil && fi.IsDir() {
		dir, name = dest, base
	}
	if name == "" {
		return fmt.Errorf("%s: no such folder", dest)
	}
	if !filepath.IsLocal(name) || filepath.Base(name) != name || name == "." {
		return fmt.Errorf("%w: a file cannot be called %q", ErrUnsafe, name)
	}
	if dir == "" {
		dir = "."
	}
	var err error
	if u.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer u.root.Close()
	h.Name = name
	return u.make(h)
}

// open makes the folder that all is unpacked into.
func (u *unpacker) open(dest, base string) error {
	at := dest
	switch fi, err := os.Stat(dest); {
	case err == nil && !fi.IsDir():
		return fmt.Errorf("%s: a file, in which no folder can be", dest)
	case err == nil && base != "." && base != string(filepath.Separator):
		if !filepath.IsLocal(base) {
			return fmt.Errorf("%w: a folder cannot be called %q", ErrUnsafe, base)
		}
		at = filepath.Join(dest, base)
		fallthrough
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case err != nil:
		return err
	}
	var err error
	u.root, err = os.OpenRoot(at)
	return err
}

// make makes one entry below the root.
func (u *unpacker) make(h *tar.Header) error {
	name := path.Clean(h.Name)
	local := filepath.FromSlash(name)
	if len(name) > maxName || !filepath.IsLocal(local) || name == "." || strings.ContainsRune(name, 0) {
		return fmt.Errorf("%w: a file called %.100q", ErrUnsafe, h.Name)
	}
	if err := u.plain(filepath.Dir(local)); err != nil {
		return err
	}
	var err error
	switch h.Typeflag {
	case tar.TypeDir:
		err = u.folder(local, h)
	case tar.TypeReg:
		err = u.content(local, h)
	case tar.TypeSymlink:
		err = u.link(local, h.Linkname)
	default:
		err = fmt.Errorf("%w: %.100q is neither a file, a folder nor a link", ErrUnsafe, h.Name)
	}
	return err
}

// plain wants no link on the way to an entry: what is packed has none, and through one a
// link that seems to stay inside could lead out.
func (u *unpacker) plain(dir string) error {
	for ; dir != "."; dir = filepath.Dir(dir) {
		if fi, err := u.root.Lstat(dir); err != nil || !fi.IsDir() {
			return fmt.Errorf("%w: %.100q is no folder, and something is to be made in it", ErrUnsafe, dir)
		}
	}
	return nil
}

func (u *unpacker) folder(name string, h *tar.Header) error {
	err := u.root.Mkdir(name, 0o700|h.FileInfo().Mode().Perm())
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if fi, err := u.root.Lstat(name); err != nil || !fi.IsDir() {
		return fmt.Errorf("%s: there is something else in the place of a folder", name)
	}
	return nil
}

// content writes a file beside its place and puts it there whole: a link that is in its
// place is replaced, and not followed.
func (u *unpacker) content(name string, h *tar.Header) error {
	if u.Bytes -= h.Size; u.Bytes < 0 {
		return fmt.Errorf("%w: too many bytes", ErrTooMuch)
	}
	part := filepath.Join(filepath.Dir(name), ".rigmesh-"+strings.ToLower(rand.Text()[:12]))
	f, err := u.root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, u.tar)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = u.root.Chmod(part, h.FileInfo().Mode().Perm())
	}
	if err == nil {
		err = u.root.Chtimes(part, h.ModTime, h.ModTime)
	}
	if err == nil {
		err = u.root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, u.root.Remove(part))
	}
	return nil
}

func (u *unpacker) link(name, target string) error {
	to := filepath.FromSlash(target)
	if !u.OutsideLinks && !inside(name, to) {
		if u.Skipped != nil {
			u.Skipped(name)
		}
		return nil
	}
	if fi, err := u.root.Lstat(name); err == nil && !fi.IsDir() {
		if err := u.root.Remove(name); err != nil {
			return err
		}
	}
	return u.root.Symlink(to, name)
}

// inside says whether a link stays below the root wherever other links lead: it goes up
// first, not too far, and then only down.
func inside(name, to string) bool {
	down := to
	for rest, ok := strings.CutPrefix(down, ".."+string(filepath.Separator)); ok; rest, ok = strings.CutPrefix(down, ".."+string(filepath.Separator)) {
		down = rest
	}
	return filepath.IsLocal(filepath.Join(filepath.Dir(name), to)) && !filepath.IsAbs(to) &&
		(down == ".." || !strings.Contains(down, ".."))
}
