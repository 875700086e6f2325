import Foundation

/// A conversation between clients and a broker, as a file of `Fixtures/wire` tells it: what was
/// sent, and what nsqd answered.
///
/// A value without a player: the tests of the codec read it, those of the broker's core feed it
/// bytes and compare what comes out, and against a socket it shows how some other nsqd differs.
/// `Fixtures/wire/README.md` explains the format.
package struct WireConversation: Sendable, Equatable {
    /// The file's name without its extension.
    package let name: String
    package let story: String
    package let recordedFrom: String
    /// The broker's command line flags, as nsqd spells them.
    package let flags: [String]
    /// What the auth server of the recording answered, if there was one.
    package let authServerAnswer: String?
    package let steps: [Step]

    package struct Step: Sendable, Equatable {
        /// Which line of the file says so.
        package let line: Int
        /// Which client speaks or is spoken to; empty where the file does not name it.
        package let client: String
        package let action: Action
    }

    package enum Action: Sendable, Equatable {
        case send(WireText)
        case sendByteByByte(WireText)
        /// The client sends no more: it half closes its connection.
        case end
        /// The next thing that the client gets is this frame.
        case expect(FrameKind, WireText)
        /// By now the client has got everything that came for it.
        case expectNothing
        /// The broker closes the connection, with or without a reset.
        case expectClose
        /// Time passes: a socket waits, and a broker without a clock is told so.
        case wait(Duration)
    }

    package enum FrameKind: Int32, Sendable {
        case response = 0
        case error = 1
        case message = 2
    }

    /// The clients by name, in the order they appear.
    package var clients: [String] {
        var names: [String] = []
        for step in steps where !names.contains(step.client) {
            if case .wait = step.action { continue }
            names.append(step.client)
        }
        return names
    }
}

extension WireConversation: CustomStringConvertible {
    package var description: String { name }
}

/// Bytes with holes for what only the run can tell: message IDs and times.
package struct WireText: Sendable, Equatable {
    package enum Piece: Sendable, Equatable {
        case bytes([UInt8])
        /// The 16 bytes of a message's ID; one number, one ID.
        case id(Int)
        /// The 8 bytes of a message's time; one number, one time.
        case time(Int)
        /// Any bytes, or none.
        case anything
    }

    package let pieces: [Piece]

    package init(_ pieces: [Piece]) { self.pieces = pieces }

    /// The IDs and times that a run has met so far, by their numbers in the file.
    package struct Met: Sendable {
        private var ids: [Int: [UInt8]] = [:]
        private var times: [Int: [UInt8]] = [:]

        package init() {}

        /// The ID met under `number`; one made up from the number as long as none was met.
        package func id(_ number: Int) -> [UInt8] {
            ids[number] ?? Array(("0000000000000000" + String(number, radix: 16)).utf8.suffix(16))
        }

        package func time(_ number: Int) -> [UInt8] {
            times[number] ?? withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
        }

        /// One number is one ID, and another number another; times of two messages may be equal.
        fileprivate mutating func meet(_ piece: Piece, as bytes: [UInt8]) -> Bool {
            switch piece {
            case .id(let number):
                if let known = ids[number] { return known == bytes }
                guard !ids.values.contains(bytes) else { return false }
                ids[number] = bytes
            case .time(let number):
                if let known = times[number] { return known == bytes }
                times[number] = bytes
            case .bytes, .anything: break
            }
            return true
        }
    }

    /// The bytes, with the holes filled by what was met and `anything` left empty.
    package func bytes(after met: Met = Met()) -> [UInt8] {
        pieces.flatMap { piece -> [UInt8] in
            switch piece {
            case .bytes(let bytes): bytes
            case .id(let number): met.id(number)
            case .time(let number): met.time(number)
            case .anything: []
            }
        }
    }

    /// Whether `data` is this text; if so, what stands in the holes counts as met from now on.
    package func matches(_ data: [UInt8], met: inout Met) -> Bool {
        var attempt = met
        guard Self.match(pieces[...], data[...], &attempt) else { return false }
        met = attempt
        return true
    }

    private static func match(
        _ pieces: ArraySlice<Piece>, _ data: ArraySlice<UInt8>, _ met: inout Met
    ) -> Bool {
        guard let piece = pieces.first else { return data.isEmpty }
        let rest = pieces.dropFirst()
        switch piece {
        case .bytes(let bytes):
            return data.starts(with: bytes) && match(rest, data.dropFirst(bytes.count), &met)
        case .id: return match(piece, bytes: 16, rest, data, &met)
        case .time: return match(piece, bytes: 8, rest, data, &met)
        case .anything:
            return (0...data.count).contains { length in
                var attempt = met
                guard match(rest, data.dropFirst(length), &attempt) else { return false }
                met = attempt
                return true
            }
        }
    }

    private static func match(
        _ hole: Piece, bytes count: Int, _ rest: ArraySlice<Piece>, _ data: ArraySlice<UInt8>,
        _ met: inout Met
    ) -> Bool {
        data.count >= count && met.meet(hole, as: Array(data.prefix(count)))
            && match(rest, data.dropFirst(count), &met)
    }
}
