import CMemory

/// How the C library keeps large blocks of memory.
enum LargeBlocks {
    private static let large: Int32 = 4 << 20

    /// Each gets pages of its own, and they go back to the system with it.
    ///
    /// Left to itself, glibc raises its bound for that to the largest block freed so far, and what a
    /// table leaves behind when it grows stays with the process: 60 MiB of 350 in a demo with a
    /// million videos (malloc, M_MMAP_THRESHOLD in mallopt(3)).
    ///
    /// Once told, it no longer raises the other bound either, up to which it keeps what is free at the
    /// end of its memory. With 128 KiB, buffers that come and go with each read and write have it
    /// given back and faulted in again, 50,000 pages a second beside TLS.
    static func standApart() {
        mallopt(M_MMAP_THRESHOLD, large)
        mallopt(M_TRIM_THRESHOLD, large)
    }
}
