/// The first word of a command line. The raw value is its NSQ spelling.
package enum Verb: String, CaseIterable, Sendable {
    case identify = "IDENTIFY"
    case authenticate = "AUTH"
    case subscribe = "SUB"
    case ready = "RDY"
    case finish = "FIN"
    case requeue = "REQ"
    case touch = "TOUCH"
    case close = "CLS"
    case nop = "NOP"
    case publish = "PUB"
    case multiPublish = "MPUB"
    case deferredPublish = "DPUB"

    /// `true` if a body follows the command line.
    package var hasBody: Bool {
        switch self {
        case .identify, .authenticate, .publish, .multiPublish, .deferredPublish: true
        default: false
        }
    }

    init?(bytes: Bytes) {
        guard let word = Word(bytes), let verb = Self.words.first(where: { $0.word == word })?.verb
        else { return nil }
        self = verb
    }

    /// All verbs with their spelling as integers. Comparing strings instead took a fifth of the
    /// time of a PUB.
    private static let words = allCases.map { verb in
        (word: Array(verb.rawValue.utf8).withUnsafeBytes { Word($0)! }, verb: verb)
    }

    /// A word of at most eight bytes, stored in an integer.
    private struct Word: Equatable {
        private let byteCount: Int
        private var number: UInt64 = 0

        init?(_ bytes: Bytes) {
            guard bytes.count <= 8 else { return nil }
            byteCount = bytes.count
            for byte in bytes { number = number << 8 | UInt64(byte) }
        }
    }
}

/// A command line, split into words at every single space, as in nsqd. Two consecutive spaces
/// therefore enclose an empty word, and a tab is part of a word.
package struct CommandLine {
    /// The first word. The error for an unknown command repeats this word.
    package let name: Bytes
    /// The command's verb; `nil` if the first word is not a known verb.
    package let verb: Verb?
    /// The bytes after the first space; `nil` if there is no space.
    private let rest: Bytes?

    /// Splits a line.
    ///
    /// - Parameter line: the line without its newline.
    package init(_ line: Bytes) {
        if let space = line.firstIndex(of: UInt8(ascii: " ")) {
            name = line.view(0..<space)
            rest = line.view(space + 1..<line.count)
        } else {
            name = line
            rest = nil
        }
        verb = Verb(bytes: name)
    }

    /// The words after the verb.
    package var parameters: Parameters { Parameters(rest: rest) }

    /// An iterator over the words after the verb.
    package struct Parameters {
        fileprivate var rest: Bytes?

        /// Returns the next word, or `nil` after the last one.
        package mutating func next() -> Bytes? {
            guard let word = rest else { return nil }
            guard let space = word.firstIndex(of: UInt8(ascii: " ")) else {
                rest = nil
                return word
            }
            rest = word.view(space + 1..<word.count)
            return word.view(0..<space)
        }
    }
}

extension CommandLine {
    /// The result of reading a command line from a buffer.
    package enum ScanResult {
        case line(CommandLine)
        case incomplete
        /// The line exceeds ``Limits/lineBytes``. The broker closes the connection without an
        /// error.
        case tooLong
    }

    /// Reads the line at `offset`, and advances `offset` past its newline. The newline and a
    /// preceding carriage return are not part of the line.
    package static func next(in bytes: Bytes, at offset: inout Int) -> ScanResult {
        let readable = min(bytes.count - offset, Limits.lineBytes)
        let window = bytes.view(offset..<offset + readable)
        guard let length = window.firstIndex(of: UInt8(ascii: "\n")) else {
            return readable == Limits.lineBytes ? .tooLong : .incomplete
        }
        offset += length + 1
        let endsInReturn = length > 0 && window[length - 1] == UInt8(ascii: "\r")
        return .line(CommandLine(window.view(0..<(endsInReturn ? length - 1 : length))))
    }
}
