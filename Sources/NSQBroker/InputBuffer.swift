/// The beginning of a command whose end has not come yet.
///
/// As a rule a connection reads into the loop's one buffer and leaves nothing behind. What it does
/// leave is kept in a piece of memory just as large, and laid before the next bytes when they
/// come. Only a large body grows where it is kept.
struct InputBuffer: ~Copyable {
    private var kept = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var keptCount = 0
    /// What the next bytes are read behind.
    private var place = Place.shared

    private enum Place {
        case shared
        case own
    }

    /// Beyond this, copying what is kept back and forth costs more than reading behind it.
    private static let mostToCopy = 64 << 10
    private static let leastRoom = 64 << 10

    deinit { InputBytes.deallocate(kept) }

    /// Where to read to: behind what is kept.
    ///
    /// - Parameter needed: how many bytes the whole command takes, as far as is known. Believed
    ///   only by and by: whoever announces megabytes and sends none costs kilobytes.
    mutating func room(
        in shared: UnsafeMutableRawBufferPointer, needed: Int
    ) -> UnsafeMutableRawBufferPointer {
        if keptCount <= Self.mostToCopy, needed <= shared.count {
            place = .shared
            shared.copyMemory(from: UnsafeRawBufferPointer(rebasing: kept[..<keptCount]))
            return UnsafeMutableRawBufferPointer(rebasing: shared[keptCount...])
        }
        place = .own
        let wanted = min(max(needed - keptCount, Self.leastRoom), max(keptCount, Self.leastRoom))
        if kept.count - keptCount < wanted { resize(to: keptCount + wanted) }
        return UnsafeMutableRawBufferPointer(rebasing: kept[keptCount...])
    }

    /// Hands all there is, kept and new, to `body`, unless that is less than is needed.
    ///
    /// - Parameter body: returns how many bytes it has taken; the others are kept.
    mutating func take(
        _ new: UnsafeRawBufferPointer, needed: Int, _ body: (UnsafeRawBufferPointer) -> Int
    ) {
        let all = UnsafeRawBufferPointer(
            start: new.baseAddress! - keptCount, count: keptCount + new.count)
        let taken = all.count < needed ? 0 : body(all)
        keep(UnsafeRawBufferPointer(rebasing: all[taken...]))
    }

    /// Hands what is kept to `body` once more: it was not for more bytes that it waited.
    mutating func takeAgain(_ body: (UnsafeRawBufferPointer) -> Int) {
        guard keptCount > 0 else { return }
        let rest = kept[body(UnsafeRawBufferPointer(rebasing: kept[..<keptCount]))..<keptCount]
        guard !rest.isEmpty else { return clear() }
        kept.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest))
        keptCount = rest.count
    }

    private mutating func keep(_ rest: UnsafeRawBufferPointer) {
        guard !rest.isEmpty else { return clear() }
        switch place {
        case .own:
            kept.baseAddress!.copyMemory(from: rest.baseAddress!, byteCount: rest.count)
        case .shared:
            if rest.count > kept.count {
                keptCount = 0
                resize(to: rest.count)
            }
            kept.copyMemory(from: rest)
        }
        keptCount = rest.count
    }

    private mutating func resize(to capacity: Int) {
        InputBytes.grow(&kept, keeping: keptCount, to: capacity)
    }

    /// Gives away what is kept.
    mutating func takeAll() -> [UInt8] {
        defer { clear() }
        return Array(kept[..<keptCount])
    }

    mutating func clear() {
        InputBytes.deallocate(kept)
        kept = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        keptCount = 0
    }
}
