import Glibc

/// Memory for what has come in, of any size and to be written to.
///
/// Large pieces are pages of their own, which go back to the system at once. The C library keeps
/// for itself what once was large and then is free, and a few hundred clients that send half of a
/// large body would have the broker stay as large as that.
enum InputBytes {
    private static let leastOfOwnPages = 1 << 20

    static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        guard byteCount >= leastOfOwnPages else {
            return .allocate(byteCount: byteCount, alignment: 8)
        }
        let pages = mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(pages != MAP_FAILED, "there is memory for what comes in")
        return UnsafeMutableRawBufferPointer(start: pages, count: byteCount)
    }

    static func deallocate(_ bytes: UnsafeMutableRawBufferPointer) {
        guard bytes.count >= leastOfOwnPages else { return bytes.deallocate() }
        munmap(bytes.baseAddress!, bytes.count)
    }
}
