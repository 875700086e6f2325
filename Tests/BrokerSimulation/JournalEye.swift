import NSQWire

/// Finds the record at a place of a journal's file, by the layout that is written down and not by
/// the code that reads it: a damage is to cost what stands in that record, and no more.
struct JournalEye {
    /// What a damage costs.
    enum Hit {
        /// Nothing stands there.
        case nothing
        case fileHeader
        case messages([Int])
        /// What became of a channel's messages.
        case notes
        /// A topic or a channel that came, went, or was paused.
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
        case 48...: .notes
        default: .topics
        }
    }

    private func little(_ offset: Int, _ count: Int) -> Int {
        (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
}

/// What is in a simulated message: its number, and letters that follow from it.
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

    /// The number of the message that begins here.
    static func number(of bytes: some Collection<UInt8>) -> Int? {
        guard bytes.count >= headBytes, bytes.first == UInt8(ascii: "<") else { return nil }
        return Int(String(decoding: bytes.dropFirst().prefix(8), as: UTF8.self))
    }

    /// The numbers of all messages in there.
    static func numbers(in bytes: ArraySlice<UInt8>) -> [Int] {
        bytes.indices.filter { bytes[$0] == UInt8(ascii: "<") }.compactMap {
            number(of: bytes[$0...])
        }
    }
}
