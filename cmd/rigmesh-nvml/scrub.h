// Overwriting the free memory of one GPU through the CUDA driver API.
#include <stdint.h>

struct scrub {
	uint64_t free;    // bytes that could be had at the start
	uint64_t total;   // bytes of the device
	uint64_t cleared; // bytes allocated, overwritten, and found so where looked
	const char *step; // what went wrong; NULL: nothing did
	int code;         // CUDA's, of that step; 0 when it was none of CUDA's
};

// scrub fills in what it did, and returns 0 when every step succeeded. The
// process must see one CUDA device, the one to scrub.
int scrub(const char *library, struct scrub *s);
