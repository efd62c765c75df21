package config

// Images is what the owner of a worker decided about images.
type Images struct {
	// Share lets other workers have the public images that are here.
	Share bool
}

// imagesFile is the part of config.yaml about them.
type imagesFile struct {
	Share *bool `yaml:"share"`
}

func (f *imagesFile) over(i *Images) {
	if f != nil {
		set(&i.Share, f.Share)
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
