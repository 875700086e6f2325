/// The first word of a command line, as NSQ spells it.
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

    /// What follows the command line, if anything.
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

    /// None is longer than eight bytes: comparing texts took a fifth of a PUB.
    private static let words = allCases.map { verb in
        (word: Array(verb.rawValue.utf8).withUnsafeBytes { Word($0)! }, verb: verb)
    }

    /// A short word as a number.
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

/// One command line, split into its words: at every single space, as nsqd does it, so that two
/// spaces make an empty word and a TAB is a byte like any other.
package struct CommandLine {
    /// The first word, raw: it is echoed to whoever sends an unknown one.
    package let name: Bytes
    package let verb: Verb?
    /// All that follows the first word and its space; `nil` if there is no space.
    private let rest: Bytes?

    /// - Parameter line: without its newline.
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

    /// Whatever stands behind the verb, as one word.
    package var parameters: Parameters { Parameters(rest: rest) }

    /// The words behind the verb, one after another.
    package struct Parameters {
        fileprivate var rest: Bytes?

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
    package enum Found {
        case line(CommandLine)
        case incomplete
        /// Beyond ``Limits/lineBytes``: the connection is to be closed without a word.
        case tooLong
    }

    /// Reads the line at `offset` and moves `offset` behind its newline.
    package static func next(in bytes: Bytes, at offset: inout Int) -> Found {
        let reach = min(bytes.count - offset, Limits.lineBytes)
        let window = bytes.view(offset..<offset + reach)
        guard let length = window.firstIndex(of: UInt8(ascii: "\n")) else {
            return reach == Limits.lineBytes ? .tooLong : .incomplete
        }
        offset += length + 1
        let endsInReturn = length > 0 && window[length - 1] == UInt8(ascii: "\r")
        return .line(CommandLine(window.view(0..<(endsInReturn ? length - 1 : length))))
    }
}
