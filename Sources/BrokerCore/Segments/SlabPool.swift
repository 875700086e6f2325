import Glibc

/// A block of memory for messages. The memory returns to the pool with the last reference to the
/// block. Segments hold references, and so do outboxes whose clients read slowly.
package final class Slab {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let pool: SlabPool

    fileprivate init(base: UnsafeMutableRawPointer, byteCount: Int, pool: SlabPool) {
        self.base = base
        self.byteCount = byteCount
        self.pool = pool
    }

    deinit { pool.recycle(base, byteCount: byteCount) }
}

/// A pool of reusable slabs. The kernel clears each new page at the first access, which took 57 %
/// of the time while a queue grew. Reused memory avoids this cost.
///
/// Slabs that stay unused between two calls of ``markIdle()`` are released to the operating system,
/// in several small steps.
package final class SlabPool {
    /// The size of a busy topic's slabs in bytes: one huge page.
    package static let fullSlabBytes = 2 << 20

    /// The slab sizes in bytes. A topic starts with the smallest size, and uses the next larger
    /// size for each new slab.
    static let sizes = [4 << 10, 32 << 10, 256 << 10, fullSlabBytes]

    private var spare = [[UnsafeMutableRawPointer]](repeating: [], count: SlabPool.sizes.count)
    /// For each size, the smallest number of spare slabs since the last call of ``markIdle()``.
    private var fewestSpare = [Int](repeating: 0, count: SlabPool.sizes.count)
    /// For each size, the number of spare slabs to release to the operating system.
    private var idle = [Int](repeating: 0, count: SlabPool.sizes.count)

    /// The size of all slabs in use, in bytes.
    package private(set) var usedBytes = 0

    /// The size of all spare slabs, in bytes.
    package var spareBytes: Int {
        zip(Self.sizes, spare).reduce(0) { $0 + $1.0 * $1.1.count }
    }

    private let maxSpareBytes: Int

    /// Creates an empty pool.
    ///
    /// - Parameter maxSpareBytes: the maximum of ``spareBytes``. Slabs beyond this limit are
    ///   released to the operating system immediately.
    package init(maxSpareBytes: Int = .max) { self.maxSpareBytes = maxSpareBytes }

    /// `true` if no slab is in use and there are no spare slabs.
    var isEmpty: Bool { usedBytes == 0 && spareBytes == 0 }

    deinit {
        for slab in spare.joined() { slab.deallocate() }
    }

    /// An empty slab, for a segment that is not in memory.
    var none: Slab { Slab(base: Self.noBytes, byteCount: 0, pool: self) }

    // SAFETY: the allocation has a size of zero, so it is never accessed.
    private nonisolated(unsafe) static let noBytes = UnsafeMutableRawPointer.allocate(
        byteCount: 0, alignment: 16)

    /// Returns a slab with at least `byteCount` bytes: the smallest sufficient one of ``sizes``, or
    /// a larger slab that is not reused.
    func slab(of byteCount: Int) -> Slab {
        guard let size = Self.sizes.firstIndex(where: { $0 >= byteCount }) else {
            let ownSize = Self.slabByteCount(for: byteCount)
            usedBytes += ownSize
            return Slab(base: allocate(ownSize), byteCount: ownSize, pool: self)
        }
        let base = spare[size].popLast() ?? allocate(Self.sizes[size])
        fewestSpare[size] = min(fewestSpare[size], spare[size].count)
        idle[size] = min(idle[size], spare[size].count)
        usedBytes += Self.sizes[size]
        return Slab(base: base, byteCount: Self.sizes[size], pool: self)
    }

    /// Returns the size of the slab for `byteCount` bytes. The size is a multiple of 16, because
    /// aligned record offsets are stored at the end of the slab.
    static func slabByteCount(for byteCount: Int) -> Int {
        sizes.first { $0 >= byteCount } ?? (byteCount + 15) & ~15
    }

    private func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard byteCount >= Self.fullSlabBytes else {
            return .allocate(byteCount: byteCount, alignment: 16)
        }
        let base = UnsafeMutableRawPointer.allocate(
            byteCount: byteCount, alignment: Self.fullSlabBytes)
        // With a huge page, one page fault for 2 MB replaces 512 page faults. The result is ignored,
        // because the slab also works without huge pages.
        madvise(base, byteCount, MADV_HUGEPAGE)
        return base
    }

    fileprivate func recycle(_ base: UnsafeMutableRawPointer, byteCount: Int) {
        guard byteCount > 0 else { return }
        usedBytes -= byteCount
        if let size = Self.sizes.firstIndex(of: byteCount),
            byteCount <= maxSpareBytes - spareBytes
        {
            spare[size].append(base)
        } else {
            base.deallocate()
        }
    }

    /// Marks the spare slabs that stayed unused since the last call, so that ``releaseIdle()``
    /// releases them.
    package func markIdle() {
        idle = fewestSpare
        fewestSpare = spare.map(\.count)
    }

    /// Releases some of the marked slabs to the operating system. The number per call is limited,
    /// because each release takes time.
    ///
    /// - Returns: `true` if more marked slabs may be left.
    package func releaseIdle() -> Bool {
        var left = Self.releasedAtOnce
        for size in Self.sizes.indices {
            while idle[size] > 0, left > 0, let base = spare[size].popLast() {
                base.deallocate()
                idle[size] -= 1
                fewestSpare[size] = min(fewestSpare[size], spare[size].count)
                left -= 1
            }
        }
        return left == 0
    }

    private static let releasedAtOnce = 16
}
