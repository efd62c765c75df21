// Package carry packs a file or a folder into a stream, and unpacks one that somebody
// else packed, who need not be honest: nothing is written outside of where it was to go,
// no device, pipe or setuid file is made, and links that lead elsewhere are left out.
//
// The stream is a tar archive of files, folders and links alone. Its first entry is ".",
// the file or folder itself; the others are below it.
package carry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Pack writes the file or folder at path to w. What is neither file, folder nor link is
// left out, and told to skipped by its name below path; what goes from a folder meanwhile is
// left out, or empty. A link at path itself is followed.
func Pack(w io.Writer, path string, skipped func(name string)) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	if fi.IsDir() {
		err = packFolder(t, path, skipped)
	} else {
		err = packOne(t, path, fi)
	}
	if err != nil {
		return err
	}
	return t.Close()
}

func packOne(t *tar.Writer, path string, fi fs.FileInfo) error {
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s: neither a file nor a folder", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return add(t, ".", fi, f)
}

func packFolder(t *tar.Writer, path string, skipped func(name string)) error {
	root, err := os.OpenRoot(path) // a link that is put in the way leads nowhere else
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = packEntry(t, root, name, d, skipped)
		}
		if errors.Is(err, fs.ErrNotExist) && name != "." {
			return nil // it went meanwhile
		}
		return err
	})
}

func packEntry(t *tar.Writer, root *os.Root, name string, d fs.DirEntry, skipped func(name string)) error {
	fi, err := d.Info()
	if err != nil {
		return err
	}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		return write(t, name, fi, "")
	case fs.ModeSymlink:
		target, err := root.Readlink(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		return write(t, name, fi, target)
	case 0:
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		defer f.Close()
		return add(t, name, fi, f)
	}
	skipped(name)
	return nil
}

// add writes a file as long as it was: one that grows meanwhile gives its beginning.
func add(t *tar.Writer, name string, fi fs.FileInfo, from io.Reader) error {
	if err := write(t, name, fi, ""); err != nil {
		return err
	}
	if _, err := io.CopyN(t, from, fi.Size()); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it became shorter while it was read")
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func write(t *tar.Writer, name string, fi fs.FileInfo, target string) error {
	h := &tar.Header{Name: name, Mode: int64(fi.Mode().Perm()), ModTime: fi.ModTime(), Format: tar.FormatPAX}
	switch {
	case fi.IsDir():
		h.Typeflag = tar.TypeDir
	case target != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, filepath.ToSlash(target)
	default:
		h.Typeflag, h.Size = tar.TypeReg, fi.Size()
	}
	return t.WriteHeader(h)
}
