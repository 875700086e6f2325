import NSQWire
import TestKit

/// A file as the system has it in memory, and as it is on the disk.
struct SimulatedFile {
    private(set) var cached = Extent()
    /// What a power cut leaves at least; `nil` if not even its name.
    private(set) var durable: Extent?
    /// What has changed since the last sync.
    private(set) var unsynced: [Change] = []
    /// What is in it as soon as it has its name.
    private let remains: Extent

    init(remains: Extent = Extent()) {
        self.remains = remains
        cached = remains
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

    mutating func bringToDisk(_ count: Int) {
        nameIsSynced()
        for change in unsynced.prefix(count) { durable!.apply(change) }
        unsynced.removeFirst(min(count, unsynced.count))
    }

    mutating func nameIsSynced() {
        if durable == nil { durable = remains }
    }

    /// A sync failed: some of what was to be brought to the disk never will be.
    mutating func loseSome(_ random: inout SeededGenerator) {
        for change in unsynced where Bool.random(using: &random) {
            nameIsSynced()
            durable!.apply(change)
        }
        unsynced = []
    }

    mutating func powerFailed(_ keep: Int, _ random: inout SeededGenerator) {
        for change in unsynced {
            guard Int.random(in: 0..<100, using: &random) < keep else { continue }
            nameIsSynced()
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

    /// Some of the sectors of a write come to the disk.
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

    /// Bytes, and zeros behind them.
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
