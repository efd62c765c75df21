//go:build linux && cgo

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "scrub.h"

// Of the driver API, what is used here. Its own header would take the toolkit.
typedef unsigned long long ptr;
struct api {
	int (*init)(unsigned);
	int (*count)(int *);
	int (*device)(int *, int);
	int (*retain)(void **, int);
	int (*current)(void *);
	int (*info)(size_t *, size_t *);
	int (*alloc)(ptr *, size_t);
	int (*set)(ptr, unsigned, size_t);
	int (*sync)(void);
	int (*back)(void *, ptr, size_t);
};

static const struct { const char *name; size_t offset; } functions[] = {
	{"cuInit", offsetof(struct api, init)},
	{"cuDeviceGetCount", offsetof(struct api, count)},
	{"cuDeviceGet", offsetof(struct api, device)},
	{"cuDevicePrimaryCtxRetain", offsetof(struct api, retain)},
	{"cuCtxSetCurrent", offsetof(struct api, current)},
	{"cuMemGetInfo_v2", offsetof(struct api, info)},
	{"cuMemAlloc_v2", offsetof(struct api, alloc)},
	{"cuMemsetD32_v2", offsetof(struct api, set)},
	{"cuCtxSynchronize", offsetof(struct api, sync)},
	{"cuMemcpyDtoH_v2", offsetof(struct api, back)},
};

enum {
	LOOK = 64 << 10,           // bytes read back at both ends of a chunk
	LEAST_CHUNK = 2 << 20,     // the driver's own page
	PATTERN = 0,
	OUT_OF_MEMORY = 2,         // CUDA_ERROR_OUT_OF_MEMORY
};
static const size_t most_chunk = (size_t)1 << 30;

static int fail(struct scrub *s, const char *step, int code)
{
	s->step = step;
	s->code = code;
	return 1;
}

static int load(const char *library, struct api *cu, struct scrub *s)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return fail(s, "load the CUDA driver library", 0);
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		void *f = dlsym(handle, functions[i].name);
		if (!f)
			return fail(s, functions[i].name, 0);
		memcpy((char *)cu + functions[i].offset, &f, sizeof f);
	}
	return 0;
}

static int cleared(const struct api *cu, ptr at, struct scrub *s)
{
	static uint32_t found[LOOK / sizeof(uint32_t)];
	int code;

	memset(found, 0xff, sizeof found);
	if ((code = cu->back(found, at, LOOK)))
		return fail(s, "read memory back", code);
	for (size_t i = 0; i < LOOK / sizeof *found; i++)
		if (found[i] != PATTERN)
			return fail(s, "memory that was cleared still holds something", 0);
	return 0;
}

static int clear(const struct api *cu, ptr at, size_t bytes, struct scrub *s)
{
	int code;

	if ((code = cu->set(at, PATTERN, bytes / 4)))
		return fail(s, "clear memory", code);
	if ((code = cu->sync()))
		return fail(s, "wait until memory is cleared", code);
	if (cleared(cu, at, s) || cleared(cu, at + bytes - LOOK, s))
		return 1;
	s->cleared += bytes;
	return 0;
}

// clear_all takes all the memory there is and gives none back: it goes with this
// process. What is given back could be had twice and counted twice.
static int clear_all(const struct api *cu, struct scrub *s)
{
	size_t chunk = most_chunk;
	int code;
	ptr at;

	while (chunk >= LEAST_CHUNK) {
		code = cu->alloc(&at, chunk);
		if (code == OUT_OF_MEMORY) {
			chunk /= 2;
			continue;
		}
		if (code)
			return fail(s, "allocate memory", code);
		if (clear(cu, at, chunk, s))
			return 1;
	}
	return 0;
}

int scrub(const char *library, struct scrub *s)
{
	struct api cu;
	int code, count, device;
	size_t free_bytes, total;
	void *context;

	memset(s, 0, sizeof *s);
	if (load(library, &cu, s))
		return 1;
	if ((code = cu.init(0)))
		return fail(s, "start CUDA", code);
	if ((code = cu.count(&count)))
		return fail(s, "count CUDA devices", code);
	if (count != 1)
		return fail(s, "CUDA does not see the device alone", 0);
	if ((code = cu.device(&device, 0)))
		return fail(s, "open the device", code);
	if ((code = cu.retain(&context, device)) || (code = cu.current(context)))
		return fail(s, "make a context", code);
	if ((code = cu.info(&free_bytes, &total)))
		return fail(s, "ask how much memory is free", code);
	s->free = free_bytes;
	s->total = total;
	return clear_all(&cu, s);
}
