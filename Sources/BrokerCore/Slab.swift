import Glibc

/// A piece of memory that messages lie in. It goes back to its pool when the last one who refers
/// to it (a segment, or an outbox whose client reads slowly) lets go.
package final class Slab {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let pool: SlabPool

    fileprivate init(base: UnsafeMutableRawPointer, byteCount: Int, pool: SlabPool) {
        self.base = base
        self.byteCount = byteCount
        self.pool = pool
    }

    deinit { pool.giveBack(base, byteCount: byteCount) }
}

/// Slabs for reuse. A fresh page costs a page fault and its clearing by the kernel, which took
/// 57 % of the time while a queue grew; memory that was touched before costs nothing.
///
/// What lay unused for a whole interval of ``noteIdle()`` is given back to the system by and by.
package final class SlabPool {
    /// The size of a busy topic's slabs, and of the huge pages that they then can be.
    package static let fullSlabBytes = 2 << 20

    /// A quiet topic starts small and takes the next size each time a slab is full.
    static let sizes = [4 << 10, 32 << 10, 256 << 10, fullSlabBytes]

    private var spare = [[UnsafeMutableRawPointer]](repeating: [], count: SlabPool.sizes.count)
    /// The fewest spare slabs of each size since the last ``noteIdle()``.
    private var fewestSpare = [Int](repeating: 0, count: SlabPool.sizes.count)

    /// How many of them are still to be given back.
    private var idle = [Int](repeating: 0, count: SlabPool.sizes.count)

    /// Bytes in slabs that are in use.
    package private(set) var usedBytes = 0

    /// Bytes in slabs that wait to be used again.
    package var spareBytes: Int {
        zip(Self.sizes, spare).reduce(0) { $0 + $1.0 * $1.1.count }
    }

    private let maxSpareBytes: Int

    /// - Parameter maxSpareBytes: what is kept beyond that goes back to the system at once.
    package init(maxSpareBytes: Int = .max) { self.maxSpareBytes = maxSpareBytes }

    /// Nothing is in use, and nothing is kept.
    var isEmpty: Bool { usedBytes == 0 && spareBytes == 0 }

    deinit {
        for slab in spare.joined() { slab.deallocate() }
    }

    /// Stands for the slab of a segment that is not in memory.
    var none: Slab { Slab(base: Self.nowhere, byteCount: 0, pool: self) }

    // SAFETY: of no bytes, so nobody reads or writes there.
    private nonisolated(unsafe) static let nowhere = UnsafeMutableRawPointer.allocate(
        byteCount: 0, alignment: 16)

    /// A slab of at least `byteCount`: of one of the usual sizes if it can be.
    func slab(of byteCount: Int) -> Slab {
        guard let size = Self.sizes.firstIndex(where: { $0 >= byteCount }) else {
            let own = Self.slabByteCount(for: byteCount)
            return Slab(base: allocate(own), byteCount: own, pool: counting(own))
        }
        let base = spare[size].popLast() ?? allocate(Self.sizes[size])
        fewestSpare[size] = min(fewestSpare[size], spare[size].count)
        idle[size] = min(idle[size], spare[size].count)
        return Slab(base: base, byteCount: Self.sizes[size], pool: counting(Self.sizes[size]))
    }

    /// How large a slab of at least `byteCount` will be. Records' offsets lie aligned at its end.
    static func slabByteCount(for byteCount: Int) -> Int {
        sizes.first { $0 >= byteCount } ?? (byteCount + 15) & ~15
    }

    private func counting(_ byteCount: Int) -> SlabPool {
        usedBytes += byteCount
        return self
    }

    private func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard byteCount >= Self.fullSlabBytes else {
            return .allocate(byteCount: byteCount, alignment: 16)
        }
        let base = UnsafeMutableRawPointer.allocate(
            byteCount: byteCount, alignment: Self.fullSlabBytes)
        // One fault for 2 MB instead of 512; where the system refuses, nothing is lost.
        madvise(base, byteCount, MADV_HUGEPAGE)
        return base
    }

    fileprivate func giveBack(_ base: UnsafeMutableRawPointer, byteCount: Int) {
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

    /// Notes which spare slabs nobody needed since the last call: they are to be given back.
    package func noteIdle() {
        idle = fewestSpare
        fewestSpare = spare.map(\.count)
    }

    /// Gives idle slabs back to the system, a few at a time, as each takes it a while.
    ///
    /// - Returns: whether there are more.
    package func giveBackSome() -> Bool {
        var left = Self.givenBackAtOnce
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

    private static let givenBackAtOnce = 16
}
