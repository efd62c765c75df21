package config

import (
	"regexp"

	"github.com/rigmesh/rigmesh/job"
)

// Images is what the owner of a worker decided about images.
type Images struct {
	// Share lets other workers have the public images that are here.
	Share bool
	// Registries lets this worker ask registries for public images itself.
	Registries bool
	// MaxBytes bounds an image as it is sent, and MaxLayers its layers.
	MaxBytes  uint64
	MaxLayers int
	// Allow are the only names that are run, unless empty, and Deny those that are not:
	// "ghcr.io", "docker.io/library", "nvcr.io/nvidia/pytorch".
	Allow, Deny []string
}

func defaultImages() Images {
	return Images{Share: true, Registries: true, MaxBytes: 100 << 30, MaxLayers: job.MaxLayers}
}

var imagePlace = regexp.MustCompile(`^([a-z0-9-]+\.[a-z0-9.-]+|localhost)(:[0-9]+)?(/[a-z0-9._-]+)*$`)

func (i Images) check(wrong func(format string, args ...any)) {
	if i.MaxBytes < 1<<20 || i.MaxBytes > job.MaxBlobTotal {
		wrong("images.max-size %s: want 1MiB to %s", Bytes(i.MaxBytes), Bytes(job.MaxBlobTotal))
	}
	if i.MaxLayers < 1 || i.MaxLayers > job.MaxLayers {
		wrong("images.max-layers %d: want 1 to %d", i.MaxLayers, job.MaxLayers)
	}
	for _, l := range [][]string{i.Allow, i.Deny} {
		for _, name := range l {
			if !imagePlace.MatchString(name) {
				wrong("images: %q: want a registry, or what begins a name in one, such as ghcr.io or docker.io/library", name)
			}
		}
	}
	if len(i.Allow) > 0 && !i.Registries {
		wrong("images.allow: with images.registries false nobody tells whether an image is what its name says")
	}
}

// imagesFile is the part of config.yaml about them.
type imagesFile struct {
	Share      *bool    `yaml:"share"`
	Registries *bool    `yaml:"registries"`
	MaxBytes   *Bytes   `yaml:"max-size"`
	MaxLayers  *int     `yaml:"max-layers"`
	Allow      []string `yaml:"allow"`
	Deny       []string `yaml:"deny"`
}

func (f *imagesFile) over(i *Images) {
	if f == nil {
		return
	}
	set(&i.Share, f.Share)
	set(&i.Registries, f.Registries)
	set((*Bytes)(&i.MaxBytes), f.MaxBytes)
	set(&i.MaxLayers, f.MaxLayers)
	if f.Allow != nil {
		i.Allow = f.Allow
	}
	if f.Deny != nil {
		i.Deny = f.Deny
	}
}

// Store bounds what a node keeps of images and files between jobs.
type Store struct {
	// Max is the most that they may take, in bytes, the unpacked images included. What is in
	// use counts, and is never removed. 0: half of the disk that is not taken by others.
	Max uint64
}

// minStore is the least that a bound may be: less holds no image.
const minStore = 1 << 20

// storeFile is the part of config.yaml about it.
type storeFile struct {
	Max *Bytes `yaml:"max"`
}

func (f *storeFile) over(s *Store) {
	if f != nil {
		set((*Bytes)(&s.Max), f.Max)
	}
}

func (s Store) check(wrong func(format string, args ...any)) {
	if s.Max > 0 && s.Max < minStore {
		wrong("store.max %s: want at least %s, or 0 for half of the free disk", Bytes(s.Max), Bytes(minStore))
	}
}
