#include <snappy-c.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The processor's own CRC-32C, the checksum of snappy's frames: Swift has no name for it. */

#if defined(__x86_64__)

static inline int processor_has_crc32c(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) static inline uint32_t processor_crc32c(
    uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *next = (const unsigned char *)bytes;
    uint64_t wide = crc;
    for (; count >= 8; next += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; count > 0; next++, count--) crc = __builtin_ia32_crc32qi(crc, *next);
    return crc;
}

#else

static inline int processor_has_crc32c(void) { return 0; }

static inline uint32_t processor_crc32c(uint32_t crc, const void *bytes, size_t count) {
    (void)bytes, (void)count;
    return crc;
}

#endif
