#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <sys/mman.h>

/* Swift cannot call mremap, which has a variable number of arguments. */
static inline void *pages_grow(void *pages, size_t size, size_t larger) {
    return mremap(pages, size, larger, MREMAP_MAYMOVE);
}

/* The header of the C library declares memmem only with _GNU_SOURCE, which its Swift module lacks. */
extern void *memmem(const void *bytes, size_t count, const void *text, size_t text_count);
static inline int memory_contains(
    const void *bytes, size_t count, const void *text, size_t text_count) {
    return memmem(bytes, count, text, text_count) != NULL;
}
