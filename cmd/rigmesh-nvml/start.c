//go:build linux && cgo && amd64

// With -Wl,--wrap=__libc_start_main the program starts through the oldest glibc's
// function. What is linked before main refers to the newest, and tools/glibc.h
// cannot reach it. Older ones take two functions to run before and after, and none will do.
int first(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
__asm__(".symver first,__libc_start_main@GLIBC_2.2.5");

int __wrap___libc_start_main(int (*run)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
			     void (*loader)(void), void *stack)
{
	return first(run, argc, argv, init, fini, loader, stack);
}
