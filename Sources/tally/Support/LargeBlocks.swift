import CMemory

/// How the C library keeps large blocks of memory.
enum LargeBlocks {
    /// Each gets pages of its own, and they go back to the system with it.
    ///
    /// Left to itself, glibc raises its bound for that to the largest block freed so far, and what a
    /// table leaves behind when it grows stays with the process: 60 MiB of 350 in a demo with a
    /// million videos (malloc, M_MMAP_THRESHOLD in mallopt(3)).
    static func standApart() {
        mallopt(M_MMAP_THRESHOLD, 4 << 20)
        mallopt(M_TRIM_THRESHOLD, 1 << 20)
    }
}
