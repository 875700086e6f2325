import CMemory
import Glibc

/// Growable memory for received bytes.
///
/// Allocations of 128 KiB and more are separate memory mappings. Such mappings grow without copying,
/// and freeing them returns the memory to the system at once. The C library would keep freed memory.
/// After a few hundred clients have sent half of a large body, the process would then stay at its
/// peak size.
enum InputMemory {
    private static let mappingThreshold = 128 << 10

    static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        guard byteCount >= mappingThreshold else {
            return .allocate(byteCount: byteCount, alignment: 8)
        }
        let pages = mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return UnsafeMutableRawBufferPointer(start: checked(pages), count: byteCount)
    }

    static func deallocate(_ bytes: UnsafeMutableRawBufferPointer) {
        guard bytes.count >= mappingThreshold else { return bytes.deallocate() }
        munmap(bytes.baseAddress!, bytes.count)
    }

    /// Replaces `bytes` with a larger allocation that starts with a copy of the first
    /// `usedByteCount` bytes.
    static func grow(
        _ bytes: inout UnsafeMutableRawBufferPointer, usedByteCount: Int, to byteCount: Int
    ) {
        if bytes.count >= mappingThreshold {
            let pages = pages_grow(bytes.baseAddress!, bytes.count, byteCount)
            bytes = UnsafeMutableRawBufferPointer(start: checked(pages), count: byteCount)
        } else {
            let larger = allocate(byteCount)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<usedByteCount]))
            deallocate(bytes)
            bytes = larger
        }
    }

    private static func checked(_ pages: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        precondition(pages != MAP_FAILED, "the system has memory for received bytes")
        return pages!
    }
}
