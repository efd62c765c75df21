package cdi

import (
	"debug/elf"
	"path/filepath"
	"strings"
)

// development are libraries that programs load by the name without a number too.
var development = []string{"libcuda.so", "libnvidia-opticalflow.so", "libnvidia-ml.so"}

// linkNames are the names by which programs look for a library of the driver,
// whose file carries the driver's version: its soname, "libcuda.so.1", and for some
// the plain one. A file that cannot be read as a library has none.
func linkNames(library string) []string {
	f, err := elf.Open(library)
	if err != nil {
		return nil
	}
	defer f.Close()
	sonames, err := f.DynString(elf.DT_SONAME)
	if err != nil {
		return nil
	}
	var names []string
	for _, name := range sonames {
		if name != "" && filepath.Base(name) == name {
			names = append(names, name)
		}
	}
	for _, plain := range development {
		if strings.HasPrefix(filepath.Base(library), plain+".") {
			names = append(names, plain)
		}
	}
	return names
}
