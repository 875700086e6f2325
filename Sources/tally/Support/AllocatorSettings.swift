import CMemory

/// The settings of glibc's allocator.
enum AllocatorSettings {
    private static let large: Int32 = 4 << 20

    /// Sets fixed thresholds for mapping large blocks and for trimming the heap; see mallopt(3).
    ///
    /// By default, glibc raises `M_MMAP_THRESHOLD` to the size of the largest freed block. It then
    /// does not return the freed memory of growing tables: 60 MiB of 350 MiB in a demo with a
    /// million videos.
    ///
    /// A fixed `M_MMAP_THRESHOLD` also fixes `M_TRIM_THRESHOLD`, at 128 KiB by default. Short-lived
    /// buffers would then make glibc trim and grow the heap repeatedly: with TLS this caused 50,000
    /// page faults per second.
    static func apply() {
        mallopt(M_MMAP_THRESHOLD, large)
        mallopt(M_TRIM_THRESHOLD, large)
    }
}
