// A stand-in for libcuda.so.1: a device of CUDA_FREE MiB in this process's memory,
// which does what CUDA_FAIL, CUDA_LIE, CUDA_HOARD and CUDA_CRASH say.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define ERROR 999
#define OUT_OF_MEMORY 2
#define LOOK ((size_t)64 << 10)

typedef unsigned long long ptr;

// Only the ends of a chunk exist; nobody looks at what is between.
struct chunk { ptr at; size_t bytes; unsigned char head[64 << 10], tail[64 << 10]; };
static struct chunk chunks[4096];
static int count;
static size_t had;

static int is(const char *variable, const char *value)
{
	const char *v = getenv(variable);
	return v && !strcmp(v, value);
}

static size_t mib(const char *variable)
{
	const char *v = getenv(variable);
	return v ? (size_t)atoll(v) * MIB : 0;
}

static int step(const char *name)
{
	if (is("CUDA_CRASH", name))
		_exit(139);
	return is("CUDA_FAIL", name) ? ERROR : 0;
}

static struct chunk *find(ptr at)
{
	for (int i = 0; i < count; i++)
		if (at >= chunks[i].at && at < chunks[i].at + chunks[i].bytes)
			return &chunks[i];
	return NULL;
}

int cuInit(unsigned flags) { return step("init"); }
int cuDeviceGetCount(int *n) { *n = is("CUDA_FAIL", "count") || !getenv("CUDA_VISIBLE_DEVICES") ? 8 : 1; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = &count; return step("retain"); }
int cuCtxSetCurrent(void *c) { return 0; }
int cuCtxSynchronize(void) { return step("sync"); }

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	*free_bytes = mib("CUDA_FREE") - had;
	*total = mib("CUDA_FREE") + 600 * MIB;
	return step("info");
}

int cuMemAlloc_v2(ptr *at, size_t bytes)
{
	int code = step("alloc");
	if (code)
		return code;
	if (had + bytes + mib("CUDA_HOARD") > mib("CUDA_FREE"))
		return OUT_OF_MEMORY;
	struct chunk *c = &chunks[count++];
	c->at = ((ptr)1 << 40) + had;
	c->bytes = bytes;
	memset(c->head, 0x5a, LOOK); // what the last tenant left
	memset(c->tail, 0x5a, LOOK);
	had += bytes;
	*at = c->at;
	return 0;
}

int cuMemsetD32_v2(ptr at, unsigned value, size_t n)
{
	struct chunk *c = find(at);
	if (step("set") || !c || n * 4 != c->bytes)
		return ERROR;
	if (is("CUDA_LIE", "set"))
		return 0;
	memset(c->head, value, LOOK);
	if (!is("CUDA_LIE", "tail"))
		memset(c->tail, value, LOOK);
	return 0;
}

int cuMemcpyDtoH_v2(void *to, ptr at, size_t bytes)
{
	struct chunk *c = find(at);
	if (step("back") || !c || bytes != LOOK)
		return ERROR;
	memcpy(to, at == c->at ? c->head : c->tail, LOOK);
	return 0;
}
