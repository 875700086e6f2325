import Foundation

/// A recorded conversation between clients and nsqd, as a file of `Fixtures/wire` describes it.
///
/// Tests of the codec parse its bytes, tests of the broker core replay it without sockets, and
/// end-to-end tests replay it over sockets. `Fixtures/wire/README.md` explains the format.
package struct WireConversation: Sendable, Equatable {
    /// The file's name without its extension.
    package let name: String
    package let story: String
    package let recordedFrom: String
    /// The broker's command line flags, as nsqd spells them.
    package let flags: [String]
    /// The response of the authorization server in the recording; `nil` without one.
    package let authServerAnswer: String?
    package let steps: [Step]

    package struct Step: Sendable, Equatable {
        /// The line number of the step in the file.
        package let line: Int
        /// The name of the client; empty if the file has only one.
        package let client: String
        package let action: Action
    }

    package enum Action: Sendable, Equatable {
        case send(WireText)
        case sendByteByByte(WireText)
        /// The client shuts down its write side.
        case end
        /// The client receives this frame next.
        case expect(FrameKind, WireText)
        /// The client receives nothing more now.
        case expectNothing
        /// The broker closes the connection, with or without a reset.
        case expectClose
        /// This much time passes.
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

/// Bytes with placeholders for message IDs and times, which differ in each run.
package struct WireText: Sendable, Equatable {
    package enum Piece: Sendable, Equatable {
        case bytes([UInt8])
        /// The 16 bytes of a message ID. Equal numbers mean equal IDs.
        case id(Int)
        /// The 8 bytes of a message's timestamp. Equal numbers mean equal timestamps.
        case time(Int)
        /// Any bytes, or none.
        case anything
    }

    package let pieces: [Piece]

    package init(_ pieces: [Piece]) { self.pieces = pieces }

    /// The IDs and times that a run has received so far, by their numbers in the file.
    package struct Met: Sendable {
        private var ids: [Int: [UInt8]] = [:]
        private var times: [Int: [UInt8]] = [:]

        package init() {}

        /// The ID for a number; before it is received, an ID that is derived from the number.
        package func id(_ number: Int) -> [UInt8] {
            ids[number] ?? Array(("0000000000000000" + String(number, radix: 16)).utf8.suffix(16))
        }

        package func time(_ number: Int) -> [UInt8] {
            times[number] ?? withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
        }

        /// Stores the value of a placeholder. Different numbers must have different IDs, but may have equal
        /// times.
        ///
        /// - Returns: `false` if the value contradicts an earlier one.
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

    /// The bytes with the received values in the placeholders. `anything` stays empty.
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

    /// Returns `true` if `data` matches this text, and then stores the values of its placeholders.
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
