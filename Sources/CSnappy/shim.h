#include <snappy-c.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The processor's instruction for CRC-32C, the checksum of snappy's frames. Swift cannot call it. */

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

/* Processes three consecutive stretches in parallel: the instruction takes three cycles, and another
   one can begin in each cycle. `stretch` is the length of each in bytes, a multiple of eight. */
__attribute__((target("sse4.2"))) static inline void processor_crc32c_thrice(
    uint32_t *first, uint32_t *second, uint32_t *third, const void *bytes, size_t stretch) {
    const unsigned char *next = (const unsigned char *)bytes;
    uint64_t one = *first, two = *second, three = *third;
    for (size_t done = 0; done < stretch; done += 8) {
        uint64_t words[3];
        memcpy(&words[0], next + done, 8);
        memcpy(&words[1], next + done + stretch, 8);
        memcpy(&words[2], next + done + 2 * stretch, 8);
        one = __builtin_ia32_crc32di(one, words[0]);
        two = __builtin_ia32_crc32di(two, words[1]);
        three = __builtin_ia32_crc32di(three, words[2]);
    }
    *first = (uint32_t)one, *second = (uint32_t)two, *third = (uint32_t)three;
}

#else

static inline int processor_has_crc32c(void) { return 0; }

static inline uint32_t processor_crc32c(uint32_t crc, const void *bytes, size_t count) {
    (void)bytes, (void)count;
    return crc;
}

static inline void processor_crc32c_thrice(
    uint32_t *first, uint32_t *second, uint32_t *third, const void *bytes, size_t stretch) {
    (void)first, (void)second, (void)third, (void)bytes, (void)stretch;
}

#endif
