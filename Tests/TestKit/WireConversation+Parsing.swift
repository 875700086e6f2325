import Foundation

/// A malformed line of a conversation file.
package struct WireConversationError: Error, CustomStringConvertible {
    package let file: String
    package let line: Int
    package let reason: String

    package var description: String { "\(file):\(line): \(reason)" }
}

extension WireConversation {
    /// Parses all conversation files in a folder, sorted by name.
    package static func all(in folder: URL) throws -> [WireConversation] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "txt" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
            .map { file in
                try WireConversation(
                    name: file.deletingPathExtension().lastPathComponent,
                    parsing: String(contentsOf: file, encoding: .utf8))
            }
    }

    package init(name: String, parsing text: String) throws {
        var head = Head()
        var steps: [Step] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            do throws(Unreadable) {
                if let step = try Step(parsing: line, number: index + 1) {
                    steps.append(step)
                } else if steps.isEmpty {
                    try head.read(line)
                } else if !line.isEmpty, !line.hasPrefix("#") {
                    throw Unreadable(reason: "not a step: \(line)")
                }
            } catch {
                throw WireConversationError(file: name, line: index + 1, reason: error.reason)
            }
        }
        guard let recordedFrom = head.recordedFrom else {
            throw WireConversationError(
                file: name, line: 1, reason: "the head does not say where it was recorded")
        }
        self.init(
            name: name, story: head.story.joined(separator: " "), recordedFrom: recordedFrom,
            flags: head.flags, authServerAnswer: head.authServerAnswer, steps: steps)
    }
}

private struct Unreadable: Error {
    let reason: String
}

/// The settings before the first step of a file.
private struct Head {
    var story: [Substring] = []
    var recordedFrom: String?
    var flags: [String] = []
    var authServerAnswer: String?

    mutating func read(_ line: Substring) throws(Unreadable) {
        if line.hasPrefix("# ") {
            story.append(line.dropFirst(2))
        } else if let value = line.value(of: "recorded") {
            recordedFrom = String(value)
        } else if let value = line.value(of: "flags") {
            flags = value.split(separator: " ").map(String.init)
        } else if let value = line.value(of: "auth") {
            authServerAnswer = String(value)
        } else if !line.isEmpty {
            throw Unreadable(reason: "neither a line of the head nor a step: \(line)")
        }
    }
}

extension Substring {
    fileprivate func value(of name: String) -> Substring? {
        hasPrefix("\(name): ") ? dropFirst(name.count + 2) : nil
    }
}

extension WireConversation.Step {
    /// - Returns: `nil` if the line is empty, a comment, or a setting.
    fileprivate init?(parsing line: Substring, number: Int) throws(Unreadable) {
        if line.hasPrefix("wait "), line.hasSuffix("ms"),
            let milliseconds = Int(line.dropFirst(5).dropLast(2))
        {
            self.init(line: number, client: "", action: .wait(.milliseconds(milliseconds)))
            return
        }
        let client = line.prefix { ("a"..."z").contains($0) }
        let rest = line.dropFirst(client.count)
        let action: WireConversation.Action
        if rest.hasPrefix("> ") {
            action = try .init(sending: rest.dropFirst(2))
        } else if rest.hasPrefix("< ") {
            action = try .init(expecting: rest.dropFirst(2))
        } else {
            return nil
        }
        self.init(line: number, client: String(client), action: action)
    }
}

extension WireConversation.Action {
    fileprivate init(sending text: Substring) throws(Unreadable) {
        if text == "end" {
            self = .end
        } else if text.hasPrefix("bytewise ") {
            self = .sendByteByByte(try WireText(parsing: text.dropFirst("bytewise ".count)))
        } else {
            self = .send(try WireText(parsing: text))
        }
    }

    fileprivate init(expecting text: Substring) throws(Unreadable) {
        let word = text.prefix { $0 != " " }
        let rest = text.dropFirst(word.count)
        switch word {
        case "nothing": self = .expectNothing
        case "close": self = .expectClose
        case "response": self = .expect(.response, try WireText(parsing: rest))
        case "error": self = .expect(.error, try WireText(parsing: rest))
        case "message": self = .expect(.message, try WireText(parsing: rest))
        default: throw Unreadable(reason: "a broker does not say \(word)")
        }
    }
}

extension WireText {
    fileprivate init(parsing text: Substring) throws(Unreadable) {
        var reader = PieceReader(rest: Array(text.utf8)[...])
        var pieces: [Piece] = []
        while let piece = try reader.next() {
            if case .bytes(let more) = piece, case .bytes(let bytes) = pieces.last {
                pieces[pieces.count - 1] = .bytes(bytes + more)
            } else {
                pieces.append(piece)
            }
        }
        self.init(pieces)
    }
}

/// Parses the pieces of an ASCII text in order.
private struct PieceReader {
    var rest: ArraySlice<UInt8>

    mutating func next() throws(Unreadable) -> WireText.Piece? {
        rest = rest.drop { $0 == UInt8(ascii: " ") }
        switch rest.first {
        case nil: return nil
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            let bytes = try quoted()
            return .bytes(Array(repeatElement(bytes, count: try times()).joined()))
        default: return try word()
        }
    }

    /// Parses `"…"` or `'…'` with the escapes of C.
    private mutating func quoted() throws(Unreadable) -> [UInt8] {
        let quote = rest.removeFirst()
        var bytes: [UInt8] = []
        while true {
            guard let byte = rest.popFirst() else { throw Unreadable(reason: "an open quote") }
            if byte == quote { return bytes }
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "n"): bytes.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "r"): bytes.append(UInt8(ascii: "\r"))
            case UInt8(ascii: "t"): bytes.append(UInt8(ascii: "\t"))
            case UInt8(ascii: "x"): bytes.append(try hexByte())
            case let escaped?: bytes.append(escaped)
            case nil: throw Unreadable(reason: "a backslash at the end")
            }
        }
    }

    /// Parses the repeat count `*N` after a quoted piece.
    private mutating func times() throws(Unreadable) -> Int {
        guard rest.first == UInt8(ascii: "*") else { return 1 }
        rest.removeFirst()
        return try number(characters())
    }

    private mutating func word() throws(Unreadable) -> WireText.Piece {
        let word = characters()
        guard let colon = word.firstIndex(of: ":") else {
            return word == "any" ? .anything : .bytes(try hexBytes(word))
        }
        let value: Int = try number(String(word[word.index(after: colon)...]))
        switch word[..<colon] {
        case "id": return .id(value)
        case "time": return .time(value)
        case "attempts": return .bytes(bigEndian(UInt16(value)))
        case "int32": return .bytes(bigEndian(Int32(value)))
        default: throw Unreadable(reason: "unknown piece \(word)")
        }
    }

    /// Parses the characters up to the next space.
    private mutating func characters() -> String {
        let word = rest.prefix { $0 != UInt8(ascii: " ") }
        rest = rest.dropFirst(word.count)
        return String(decoding: word, as: UTF8.self)
    }

    private func number(_ text: String) throws(Unreadable) -> Int {
        guard let number = Int(text) else { throw Unreadable(reason: "\(text) is no number") }
        return number
    }

    private func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    private func hexBytes(_ word: String) throws(Unreadable) -> [UInt8] {
        var digits = PieceReader(rest: Array(word.utf8)[...])
        var bytes: [UInt8] = []
        while !digits.rest.isEmpty { bytes.append(try digits.hexByte()) }
        return bytes
    }

    private mutating func hexByte() throws(Unreadable) -> UInt8 {
        let digits = String(decoding: rest.prefix(2), as: UTF8.self)
        guard digits.count == 2, let byte = UInt8(digits, radix: 16) else {
            throw Unreadable(reason: "\(digits) is no byte in hex")
        }
        rest = rest.dropFirst(2)
        return byte
    }
}
