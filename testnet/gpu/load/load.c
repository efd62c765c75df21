// load works a GPU through the CUDA driver API alone: no toolkit, its one kernel
// as PTX. It is what the check of real hardware runs, in a container and beside one.
//
//   load burn SECONDS   compute, and hold the results against the processor's own
//   load fill           write a mark all over the free memory, and leave it there
//   load look           count what is left of that mark in the free memory
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long long ptr;

#define FUNCTIONS(F) \
	F(cuInit, (unsigned)) \
	F(cuDeviceGetCount, (int *)) \
	F(cuDeviceGet, (int *, int)) \
	F(cuDeviceGetName, (char *, int, int)) \
	F(cuDevicePrimaryCtxRetain, (void **, int)) \
	F(cuCtxSetCurrent, (void *)) \
	F(cuModuleLoadData, (void **, const void *)) \
	F(cuModuleGetFunction, (void **, void *, const char *)) \
	F(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **)) \
	F(cuCtxSynchronize, (void)) \
	F(cuMemAlloc_v2, (ptr *, size_t)) \
	F(cuMemsetD32_v2, (ptr, unsigned, size_t)) \
	F(cuMemcpyDtoH_v2, (void *, ptr, size_t))

#define DECLARE(name, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

#define TRY(call) do { int code_ = (call); if (code_) { fprintf(stderr, "load: error: %s: CUDA error %d\n", #call, code_); exit(1); } } while (0)

// Every thread turns its number over n times: x = x * 1664525 + 1013904223.
static const char kernel[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .entry turn(.param .u64 out, .param .u32 n)\n{\n"
	"	.reg .pred %p<2>;\n	.reg .b32 %r<8>;\n	.reg .b64 %rd<5>;\n"
	"	ld.param.u64 %rd1, [out];\n	ld.param.u32 %r1, [n];\n"
	"	mov.u32 %r2, %ctaid.x;\n	mov.u32 %r3, %ntid.x;\n	mov.u32 %r4, %tid.x;\n"
	"	mad.lo.s32 %r5, %r2, %r3, %r4;\n	mov.u32 %r6, %r5;\n"
	"AGAIN:\n	setp.eq.u32 %p1, %r1, 0;\n	@%p1 bra DONE;\n"
	"	mad.lo.s32 %r6, %r6, 1664525, 1013904223;\n	sub.u32 %r1, %r1, 1;\n	bra AGAIN;\n"
	"DONE:\n	cvta.to.global.u64 %rd2, %rd1;\n	mul.wide.u32 %rd3, %r5, 4;\n	add.s64 %rd4, %rd2, %rd3;\n"
	"	st.global.u32 [%rd4], %r6;\n	ret;\n}\n";

enum { THREADS = 256, BLOCKS = 4096, TURNS = 20000, MARK = 0x5ca1ab1e };
static const size_t chunk_bytes = (size_t)64 << 20;

static void open_device(void)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW), *context;
	int count, device;
	char name[128];

	if (!library) {
		fprintf(stderr, "load: error: %s\n", dlerror());
		exit(1);
	}
#define LOAD(name, arguments) \
	if (!(name = (int (*) arguments)dlsym(library, #name))) { fprintf(stderr, "load: error: libcuda has no %s\n", #name); exit(1); }
	FUNCTIONS(LOAD)
	TRY(cuInit(0));
	TRY(cuDeviceGetCount(&count));
	TRY(cuDeviceGet(&device, 0));
	TRY(cuDeviceGetName(name, sizeof name, device));
	TRY(cuDevicePrimaryCtxRetain(&context, device));
	TRY(cuCtxSetCurrent(context));
	printf("devices %d\nname %s\n", count, name);
	fflush(stdout);
}

static uint32_t turned(uint32_t x, uint32_t n)
{
	while (n--)
		x = x * 1664525u + 1013904223u;
	return x;
}

static int burn(double seconds)
{
	static uint32_t results[THREADS * BLOCKS];
	uint32_t n = TURNS;
	void *module, *function;
	unsigned long rounds = 0;
	ptr out;

	TRY(cuModuleLoadData(&module, kernel));
	TRY(cuModuleGetFunction(&function, module, "turn"));
	TRY(cuMemAlloc_v2(&out, sizeof results));
	void *arguments[] = {&out, &n};
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		TRY(cuLaunchKernel(function, BLOCKS, 1, 1, THREADS, 1, 1, 0, NULL, arguments, NULL));
		TRY(cuCtxSynchronize());
		rounds++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec + (now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
	TRY(cuMemcpyDtoH_v2(results, out, sizeof results));
	for (uint32_t i = 0; i < THREADS * BLOCKS; i += 4099)
		if (results[i] != turned(i, n)) {
			fprintf(stderr, "load: error: thread %u computed %u, the processor %u\n", i, results[i], turned(i, n));
			return 1;
		}
	printf("rounds %lu\nresults right\n", rounds);
	return 0;
}

// each does something with all the memory that can be had.
static size_t each(int look, size_t *marked)
{
	static uint32_t found[1 << 16];
	size_t bytes = 0;
	ptr at;

	while (!cuMemAlloc_v2(&at, chunk_bytes)) {
		bytes += chunk_bytes;
		if (!look) {
			TRY(cuMemsetD32_v2(at, MARK, chunk_bytes / 4));
			continue;
		}
		for (size_t from = 0; from < chunk_bytes; from += sizeof found) {
			TRY(cuMemcpyDtoH_v2(found, at + from, sizeof found));
			for (size_t i = 0; i < sizeof found / sizeof *found; i++)
				*marked += found[i] == MARK;
		}
	}
	TRY(cuCtxSynchronize());
	return bytes;
}

int main(int argc, char **argv)
{
	size_t marked = 0;

	if (argc == 3 && !strcmp(argv[1], "burn")) {
		open_device();
		return burn(atof(argv[2]));
	}
	if (argc == 2 && (!strcmp(argv[1], "fill") || !strcmp(argv[1], "look"))) {
		open_device();
		printf("bytes %zu\n", each(!strcmp(argv[1], "look"), &marked));
		printf("marked %zu\n", marked);
		return 0;
	}
	fprintf(stderr, "usage: load burn SECONDS | fill | look\n");
	return 2;
}
