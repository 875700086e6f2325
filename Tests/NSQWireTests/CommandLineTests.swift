import NSQWire
import Testing

@Suite struct `A command line` {
    @Test(arguments: [
        ("NOP", ["NOP"]),
        ("SUB plays counts", ["SUB", "plays", "counts"]),
        ("SUB  counts", ["SUB", "", "counts"]),
        ("PUB ", ["PUB", ""]),
        (" NOP", ["", "NOP"]),
        ("", [""]),
        ("  ", ["", "", ""]),
        ("PUB\tplays", ["PUB\tplays"]),
        ("a\rb", ["a\rb"]),
    ])
    func `is split at every single space only`(line: String, words: [String]) {
        #expect(split(line) == words)
    }

    @Test func `ends at its newline, without one carriage return before it`() {
        #expect(lines(of: "NOP\nNOP\r\n\r\n\nNOP\r\r\nNOP") == ["NOP", "NOP", "", "", "NOP\r"])
    }

    @Test(arguments: Verb.allCases)
    func `recognizes verbs in upper case only`(verb: Verb) {
        Array(verb.rawValue.utf8).withUnsafeBytes { #expect(CommandLine($0).verb == verb) }
        Array(verb.rawValue.lowercased().utf8).withUnsafeBytes {
            #expect(CommandLine($0).verb == nil)
        }
        for other in [verb.rawValue + "S", "\0" + verb.rawValue, verb.rawValue + "\0"] {
            Array(other.utf8).withUnsafeBytes { #expect(CommandLine($0).verb == nil) }
        }
    }

    @Test func `is incomplete without its newline and does not advance the offset`() {
        Array("NOP\nPUB plays".utf8).withUnsafeBytes { bytes in
            var offset = 4
            guard case .incomplete = CommandLine.next(in: bytes, at: &offset) else {
                Issue.record("a line without its newline")
                return
            }
            #expect(offset == 4)
        }
    }

    @Test func `has at most 16384 bytes with its newline`() {
        #expect(outcome(nameBytes: 16_383, newline: true) == "line")
        #expect(outcome(nameBytes: 16_384, newline: true) == "too long")
        #expect(outcome(nameBytes: 16_383, newline: false) == "incomplete")
        #expect(outcome(nameBytes: 16_384, newline: false) == "too long")
        #expect(outcome(nameBytes: 16_383, newline: true, behind: 100) == "line")
        #expect(outcome(nameBytes: 16_384, newline: true, behind: 100) == "too long")
    }

    private func split(_ line: String) -> [String] {
        Array(line.utf8).withUnsafeBytes { bytes in
            let line = CommandLine(bytes)
            var words = [String(decoding: line.name, as: UTF8.self)]
            var parameters = line.parameters
            while let word = parameters.next() {
                words.append(String(decoding: word, as: UTF8.self))
            }
            return words
        }
    }

    private func lines(of text: String) -> [String] {
        Array(text.utf8).withUnsafeBytes { bytes in
            var offset = 0
            var lines: [String] = []
            while case .line(let line) = CommandLine.next(in: bytes, at: &offset) {
                lines.append(String(decoding: line.name, as: UTF8.self))
            }
            return lines
        }
    }

    private func outcome(nameBytes: Int, newline: Bool, behind: Int = 0) -> String {
        let bytes =
            [UInt8](repeating: UInt8(ascii: "\n"), count: behind)
            + [UInt8](repeating: UInt8(ascii: "x"), count: nameBytes)
            + (newline ? Array("\nNOP\n".utf8) : [])
        return bytes.withUnsafeBytes { bytes in
            var offset = behind
            switch CommandLine.next(in: bytes, at: &offset) {
            case .line(let line): return line.name.count == nameBytes ? "line" : "another line"
            case .incomplete: return "incomplete"
            case .tooLong: return "too long"
            }
        }
    }
}
