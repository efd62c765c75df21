// Package ociimage makes small OCI archives for tests and demos, without a
// registry and without a network. The same input makes the same bytes.
package ociimage

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Options are what an image says beside its files.
type Options struct {
	Env        []string
	Cmd        []string
	Entrypoint []string
	User       string
	Workdir    string
	Volumes    []string
	Platform   string // empty: "linux/amd64"
	Name       string // as after `docker pull`; empty: "local/image:latest"
	Owner      int    // user and group of every file
	Docker     bool   // in docker's media types, not OCI's
}

// FromDir writes the tree under dir to path as an OCI archive of one layer. Owners and
// times of the files do not matter, their modes do.
func FromDir(path, dir string, o Options) error {
	return FromDirs(path, o, dir)
}

// FromDirs is FromDir with one layer per tree, the first at the bottom.
func FromDirs(path string, o Options, dirs ...string) error {
	var layers []Layer
	for _, dir := range dirs {
		layers = append(layers, Tree(dir, o.Owner))
	}
	return FromLayers(path, o, layers...)
}

// Layer writes a tar: the same bytes each time it is called.
type Layer func(io.Writer) error

// Tree is the layer of a tree whose files belong to one user and group.
func Tree(dir string, owner int) Layer {
	return func(w io.Writer) error { return writeTree(w, dir, owner) }
}

// FromLayers is FromDirs for layers that no tree on disk could be, as those of an attacker.
func FromLayers(path string, o Options, layers ...Layer) error {
	img, err := image(o, layers)
	if err != nil {
		return fmt.Errorf("make image %s: %w", path, err)
	}
	if err := write(path, img, o); err != nil {
		return fmt.Errorf("write image %s: %w", path, err)
	}
	return nil
}

func image(o Options, layers []Layer) (v1.Image, error) {
	manifestType, configType, layerType := types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer
	if o.Docker {
		manifestType, configType, layerType = types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, manifestType), configType)
	for _, write := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			r, w := io.Pipe()
			go func() { w.CloseWithError(write(w)) }()
			return r, nil
		}, tarball.WithMediaType(layerType))
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	platform, err := v1.ParsePlatform(o.platform())
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config.Env, config.Config.Cmd, config.Config.Entrypoint = o.Env, o.Cmd, o.Entrypoint
	config.Config.User, config.Config.WorkingDir = o.User, o.Workdir
	for _, v := range o.Volumes {
		if config.Config.Volumes == nil {
			config.Config.Volumes = make(map[string]struct{})
		}
		config.Config.Volumes[v] = struct{}{}
	}
	return mutate.ConfigFile(img, config)
}

func (o Options) platform() string {
	if o.Platform == "" {
		return "linux/amd64"
	}
	return o.Platform
}

func write(path string, img v1.Image, o Options) error {
	tmp, err := os.MkdirTemp(filepath.Dir(path), ".ociimage-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	l, err := layout.Write(tmp, empty.Index)
	if err != nil {
		return err
	}
	platform, err := v1.ParsePlatform(o.platform())
	if err != nil {
		return err
	}
	name := o.Name
	if name == "" {
		name = "local/image:latest"
	}
	err = l.AppendImage(img, layout.WithPlatform(*platform),
		layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": name}))
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeTree(f, tmp, 0), f.Close())
}

// writeTree writes a tar of what is under dir, in the order of the names.
func writeTree(w io.Writer, dir string, owner int) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return writeEntry(t, dir, path, e, owner)
	})
	return errors.Join(err, t.Close())
}

func writeEntry(t *tar.Writer, dir, path string, e fs.DirEntry, owner int) error {
	fi, err := e.Info()
	if err != nil {
		return err
	}
	link := ""
	if fi.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(fi, link)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	h.Name, h.Format = filepath.ToSlash(name), tar.FormatPAX
	if fi.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = owner, owner, "", ""
	h.ModTime, h.AccessTime, h.ChangeTime = time.Unix(0, 0), time.Time{}, time.Time{}
	if err := t.WriteHeader(h); err != nil || !fi.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t, f)
	return err
}

// Busybox writes an image of this host's static busybox to path: a shell and the usual
// programs, a user "nobody", and a file /bin/not-executable to try that.
func Busybox(path string) error {
	return busybox(filepath.Dir(path), func(root string) error { return FromDir(path, root, BusyboxOptions()) })
}

// BusyboxOptions are what Busybox's image says beside its files.
func BusyboxOptions() Options {
	return Options{Name: "local/busybox:latest", Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}
}

// busybox lets use have the tree for a while, in a folder below dir.
func busybox(dir string, use func(root string) error) error {
	root, err := os.MkdirTemp(dir, ".busybox-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := BusyboxTree(root); err != nil {
		return fmt.Errorf("make the tree of a busybox image: %w", err)
	}
	return use(root)
}

// BusyboxTree fills root with what Busybox packs.
func BusyboxTree(root string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w (Debian has it in busybox-static)", err)
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	files := map[string]struct {
		content string
		mode    fs.FileMode
	}{
		"bin/busybox":        {string(program), 0o755},
		"bin/not-executable": {"nothing\n", 0o644},
		"etc/passwd":         {"root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001::/home/worker:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", 0o644},
		"etc/group":          {"root:x:0:\nworker:x:1001:\nvideo:x:44:worker\nnogroup:x:65534:\n", 0o644},
	}
	for _, dir := range []string{"bin", "etc", "root", "home/worker", "proc", "sys", "dev", "tmp", "run", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	for name, f := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.WriteFile(path, []byte(f.content), f.mode), os.Chmod(path, f.mode)); err != nil {
			return err
		}
	}
	for _, name := range strings.Fields(string(applets)) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			return err
		}
	}
	return nil
}
