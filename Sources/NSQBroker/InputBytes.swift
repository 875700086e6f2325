import CMemory
import Glibc

/// Memory for what has come in, of any size and to be written to.
///
/// Large pieces are pages of their own: they grow without a copy, and go back to the system at once.
/// The C library keeps for itself what once was large and then is free, and a few hundred clients
/// that send half of a large body would have the broker stay as large as that.
enum InputBytes {
    private static let leastOfOwnPages = 128 << 10

    static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        guard byteCount >= leastOfOwnPages else {
            return .allocate(byteCount: byteCount, alignment: 8)
        }
        let pages = mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return UnsafeMutableRawBufferPointer(start: checked(pages), count: byteCount)
    }

    static func deallocate(_ bytes: UnsafeMutableRawBufferPointer) {
        guard bytes.count >= leastOfOwnPages else { return bytes.deallocate() }
        munmap(bytes.baseAddress!, bytes.count)
    }

    /// Has a larger piece take the place of `bytes`. It begins with the first `kept` of them.
    static func grow(
        _ bytes: inout UnsafeMutableRawBufferPointer, keeping kept: Int, to byteCount: Int
    ) {
        if bytes.count >= leastOfOwnPages {
            let pages = pages_grow(bytes.baseAddress!, bytes.count, byteCount)
            bytes = UnsafeMutableRawBufferPointer(start: checked(pages), count: byteCount)
        } else {
            let wider = allocate(byteCount)
            wider.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<kept]))
            deallocate(bytes)
            bytes = wider
        }
    }

    private static func checked(_ pages: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        precondition(pages != MAP_FAILED, "there is memory for what comes in")
        return pages!
    }
}
