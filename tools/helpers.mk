# The programs that rigmesh carries inside itself: runc and the shim from nested
# modules, the init and the reader of GPUs from this one. Built only when out of
# date, cached in bin/.
HELPERS := runc containerd-shim-runc-v2 rigmesh-init rigmesh-nvml
EMBED   := runtime/containerd/assets/bin

.PHONY: helpers
helpers: $(HELPERS:%=$(EMBED)/%.zst)

# How they are built is a part of what they are.
$(HELPERS:%=bin/helpers/%): tools/helpers.mk

bin/helpers/runc: tools/runc/go.mod tools/runc/go.sum
	@pkg-config --exists libseccomp || { echo 'runc needs libseccomp-dev and pkg-config' >&2; exit 1; }
	cd tools/runc && CGO_ENABLED=1 go build -trimpath -tags 'seccomp netgo osusergo' -ldflags '-s -w -extldflags -static' -o ../../$@ github.com/opencontainers/runc

bin/helpers/containerd-shim-runc-v2: tools/shim/go.mod tools/shim/go.sum
	cd tools/shim && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../$@ github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2

bin/helpers/rigmesh-init: $(wildcard cmd/rigmesh-init/*.go runtime/containerd/record/*.go runtime/carry/*.go) go.mod
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ ./cmd/rigmesh-init

# Dynamic, because it loads the driver's libraries; lazy, because a driver may lack
# functions, which are then never called; of the oldest glibc, because owners' systems are older than ours.
NVML_CFLAGS  := -O2 -Wno-deprecated-declarations -include $(CURDIR)/tools/glibc.h
NVML_LDFLAGS := -Wl,-z,lazy
ifeq ($(shell uname -m),x86_64)
NVML_LDFLAGS += -Wl,--wrap=__libc_start_main -Wl,--no-as-needed -l:libpthread.so.0 -l:libdl.so.2
endif

bin/helpers/rigmesh-nvml: $(wildcard cmd/rigmesh-nvml/*.[gch]* proto/nvml/v1/*.go gpu/*.go) tools/glibc.h go.mod
	CGO_ENABLED=1 CGO_CFLAGS='$(NVML_CFLAGS)' CGO_LDFLAGS='$(NVML_LDFLAGS)' go build -trimpath -tags netgo,osusergo -ldflags '-s -w' -o $@ ./cmd/rigmesh-nvml

# The checksum that zstd puts at the end is a part of the name of what is unpacked.
$(EMBED)/%.zst: bin/helpers/%
	zstd --quiet --force --ultra -22 --check $< -o $@
