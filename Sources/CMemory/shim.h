#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <sys/mman.h>

/* Swift cannot call what takes any number of arguments. */
static inline void *pages_grow(void *pages, size_t size, size_t larger) {
    return mremap(pages, size, larger, MREMAP_MAYMOVE);
}
