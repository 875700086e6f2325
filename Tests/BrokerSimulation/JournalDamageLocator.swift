import NSQWire

/// Finds the record at an offset of a journal file. It implements the documented layout and shares no
/// code with the journal's reader. So it can check that recovery loses only the damaged record.
struct JournalDamageLocator {
    /// The content of the damaged record.
    enum Hit {
        /// There is no record at the offset.
        case nothing
        case fileHeader
        case messages([Int])
        /// Deliveries of a channel.
        case deliveries
        /// The state of topics and channels.
        case topics
    }

    let bytes: [UInt8]

    func hit(at offset: Int) -> Hit {
        guard offset >= 64 else { return .fileHeader }
        var start = 64
        while start + 32 <= bytes.count {
            guard little(start, 4) == 0x5243_4a54, little(start + 8, 4) == start else {
                start += 8
                continue
            }
            let payload = little(start + 4, 4)
            let end = start + 32 + (payload + 7) / 8 * 8
            if offset < end {
                guard offset >= start else { return .nothing }
                return hit(kind: little(start + 16, 2), start + 32..<min(bytes.count, end))
            }
            start = end
        }
        return .nothing
    }

    private func hit(kind: Int, _ payload: Range<Int>) -> Hit {
        switch kind {
        case 2...5: .messages(MessageBody.numbers(in: bytes[payload]))
        case 48...: .deliveries
        default: .topics
        }
    }

    private func little(_ offset: Int, _ count: Int) -> Int {
        (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
}

/// The body of a simulated message, which consists of its number and derived letters.
enum MessageBody {
    static let headBytes = 10

    static func bytes(_ number: Int, count: Int) -> [UInt8] {
        let digits = String(number)
        var body = Array("<\(String(repeating: "0", count: 8 - digits.count))\(digits)>".utf8)
        body.reserveCapacity(count)
        for place in 0..<max(0, count - headBytes) {
            body.append(UInt8(ascii: "a") + UInt8(truncatingIfNeeded: (number &+ place / 3) % 23))
        }
        return body
    }

    /// The number of the message at the start of `bytes`.
    static func number(of bytes: some Collection<UInt8>) -> Int? {
        guard bytes.count >= headBytes, bytes.first == UInt8(ascii: "<") else { return nil }
        return Int(String(decoding: bytes.dropFirst().prefix(8), as: UTF8.self))
    }

    /// The numbers of all messages in `bytes`.
    static func numbers(in bytes: ArraySlice<UInt8>) -> [Int] {
        bytes.indices.filter { bytes[$0] == UInt8(ascii: "<") }.compactMap {
            number(of: bytes[$0...])
        }
    }
}
