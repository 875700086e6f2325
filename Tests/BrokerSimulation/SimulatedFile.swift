import NSQWire
import TestKit

/// A file with its contents in the page cache and on disk.
struct SimulatedFile {
    private(set) var cached = Extent()
    /// The contents on disk; `nil` if the file's name is not synced.
    private(set) var durable: Extent?
    /// The changes since the last sync.
    private(set) var unsynced: [Change] = []
    /// The contents of the recycled file. After a sync of the new name, the name refers to them.
    private let recycledContent: Extent

    init(recycledContent: Extent = Extent()) {
        self.recycledContent = recycledContent
        cached = recycledContent
    }

    enum Change {
        case write([UInt8], at: Int)
        case truncate(to: Int)
        case reserve(Int)
    }

    mutating func change(_ change: Change) {
        cached.apply(change)
        unsynced.append(change)
    }

    mutating func syncChanges(_ count: Int) {
        syncName()
        for change in unsynced.prefix(count) { durable!.apply(change) }
        unsynced.removeFirst(min(count, unsynced.count))
    }

    mutating func syncName() {
        if durable == nil { durable = recycledContent }
    }

    /// Loses some unsynced changes for ever, after a failed sync.
    mutating func loseSomeChanges(_ random: inout SeededGenerator) {
        for change in unsynced where Bool.random(using: &random) {
            syncName()
            durable!.apply(change)
        }
        unsynced = []
    }

    mutating func powerFailed(_ keep: Int, _ random: inout SeededGenerator) {
        for change in unsynced {
            guard Int.random(in: 0..<100, using: &random) < keep else { continue }
            syncName()
            if case .write(let bytes, let offset) = change,
                Int.random(in: 0..<4, using: &random) == 0
            {
                tear(bytes, at: offset, &random)
            } else {
                durable!.apply(change)
            }
        }
        unsynced = []
        if let durable { cached = durable }
    }

    /// Stores some sectors of a write.
    private mutating func tear(_ bytes: [UInt8], at offset: Int, _ random: inout SeededGenerator) {
        var start = offset
        while start < offset + bytes.count {
            let end = min((start / Self.sectorBytes + 1) * Self.sectorBytes, offset + bytes.count)
            if Bool.random(using: &random) {
                durable!.apply(.write(Array(bytes[start - offset..<end - offset]), at: start))
            }
            start = end
        }
    }

    static let sectorBytes = 512

    mutating func flip(bit: Int, at offset: Int) {
        cached.flip(bit: bit, at: offset)
        durable?.flip(bit: bit, at: offset)
        for (place, change) in unsynced.enumerated() {
            guard case .write(var bytes, let start) = change,
                start..<start + bytes.count ~= offset
            else { continue }
            bytes[offset - start] ^= 1 << UInt8(bit)
            unsynced[place] = .write(bytes, at: start)
        }
    }

    /// Bytes followed by zeros up to a length.
    struct Extent {
        private(set) var bytes: [UInt8] = []
        private(set) var length = 0

        mutating func apply(_ change: Change) {
            switch change {
            case .reserve(let end): length = max(length, end)
            case .truncate(let end):
                length = end
                if bytes.count > end { bytes.removeLast(bytes.count - end) }
            case .write(let new, let offset):
                let end = offset + new.count
                if bytes.count < end {
                    bytes += [UInt8](repeating: 0, count: end - bytes.count)
                }
                bytes.replaceSubrange(offset..<end, with: new)
                length = max(length, end)
            }
        }

        mutating func flip(bit: Int, at offset: Int) {
            guard offset < bytes.count else { return }
            bytes[offset] ^= 1 << UInt8(bit)
        }

        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
            let total = max(0, min(buffer.count, length - offset))
            let known = max(0, min(total, bytes.count - offset))
            if known > 0 { buffer.copyBytes(from: bytes[offset..<offset + known]) }
            if known < total {
                UnsafeMutableRawBufferPointer(rebasing: buffer[known..<total])
                    .initializeMemory(as: UInt8.self, repeating: 0)
            }
            return total
        }
    }
}
