//go:build linux

package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// without names what the programs never open: the packages' own papers, and
// the drivers and compiler behind a screen that is not there. It halves the image.
var without = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
	"usr/share/bug", "usr/share/icons", "usr/lib/*/dri", "usr/lib/*/libLLVM*", "usr/lib/llvm-*",
	"usr/lib/*/libz3.so*", "usr/lib/*/gconv", "usr/lib/*/mfx",
}

// alternatives are links that a package's installation would make, and which
// unpacking alone does not: library and the folder its package keeps it in.
var alternatives = map[string]string{
	"libblas.so.3":   "blas",
	"liblapack.so.3": "lapack",
}

// makeRootfs fills dir with Debian's ffmpeg and everything it needs, and
// installs nothing on this machine. Packages are kept in the folder packages.
func makeRootfs(ctx context.Context, dir, packages string) error {
	if err := download(ctx, packages); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := run(ctx, "dpkg-deb", "--extract", file, dir); err != nil {
			return err
		}
	}
	if err := linkAlternatives(dir); err != nil {
		return err
	}
	if err := trim(dir); err != nil {
		return err
	}
	// The programs look for a writable /tmp, and a job for where its files go.
	return os.MkdirAll(filepath.Join(dir, "tmp"), 0o777)
}

// download fetches ffmpeg and all it depends on, as if nothing were installed.
func download(ctx context.Context, packages string) error {
	if err := os.MkdirAll(filepath.Join(packages, "partial"), 0o755); err != nil {
		return err
	}
	status := filepath.Join(packages, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return err
	}
	fetch := func() error {
		return run(ctx, "apt-get", "-qq", "-y", "--no-install-recommends", "--download-only",
			"-o", "Dir::State::status="+status, "-o", "Dir::Cache::archives="+packages,
			"-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "install", "ffmpeg")
	}
	err := fetch()
	if err == nil || os.Geteuid() != 0 {
		return err
	}
	// The package lists may be missing, or name versions that are gone.
	return errors.Join(run(ctx, "apt-get", "-qq", "update"), fetch())
}

func linkAlternatives(dir string) error {
	for library, folder := range alternatives {
		kept, err := filepath.Glob(filepath.Join(dir, "usr/lib/*", folder, library))
		if err != nil {
			return err
		}
		for _, file := range kept {
			link := filepath.Join(filepath.Dir(filepath.Dir(file)), library)
			if err := os.Symlink(filepath.Join(folder, library), link); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

func trim(dir string) error {
	for _, pattern := range without {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, args[len(args)-1], err, strings.TrimSpace(string(out)))
	}
	return nil
}
