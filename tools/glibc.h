// Included in every C file of rigmesh-nvml on x86-64: its functions are those of
// the oldest glibc, so that a helper built here runs where glibc is older. Since
// 2.34 the linker would pick versions that older ones lack.
#if defined(__x86_64__) && !defined(__ASSEMBLER__)
#define OLD(function, version) __asm__(".symver " #function "," #function "@GLIBC_" version)
OLD(dlopen, "2.2.5");
OLD(dlsym, "2.2.5");
OLD(dlclose, "2.2.5");
OLD(dlerror, "2.2.5");
OLD(dlinfo, "2.3.3");
OLD(pthread_create, "2.2.5");
OLD(pthread_attr_getstack, "2.2.5");
OLD(pthread_attr_getstacksize, "2.2.5");
OLD(pthread_getattr_np, "2.2.5");
OLD(pthread_key_create, "2.2.5");
OLD(pthread_setspecific, "2.2.5");
OLD(pthread_sigmask, "2.2.5");
#undef OLD
#endif
