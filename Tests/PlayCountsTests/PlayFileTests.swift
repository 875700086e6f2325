import Foundation
import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A file of plays` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func `contains a message on each line that is not empty`() throws {
        #expect(try lines("a\n\nb\r\n  \nc") == ["a", "b", "  ", "c"])
        #expect(try lines("") == [])
        #expect(try lines("\n\n") == [])
    }

    @Test func `may start with a byte order mark`() throws {
        #expect(try lines("\u{FEFF}a\n\u{FEFF}b") == ["a", "\u{FEFF}b"])
        #expect(try lines("\u{FEFF}\r\na") == ["a"])
        #expect(try lines("\u{FEFF}a") == ["a"])
        #expect(try lines("\u{FEFF}") == [])
        #expect(try lines("\n\u{FEFF}a") == ["\u{FEFF}a"])
    }

    @Test func `may be longer than one read`() throws {
        let long = (0..<5000).map { String(repeating: "x", count: $0 % 97 + 1) }
        #expect(try lines(long.joined(separator: "\n")) == long)
        let whole = String(repeating: "y", count: PlayFile.lineBytes)
        #expect(try lines("a\n\(whole)\nb") == ["a", whole, "b"])
    }

    @Test func `is an error if a line is longer than a message`() throws {
        let whole = String(repeating: "y", count: PlayFile.lineBytes + 1)
        let path = folder.path("plays")
        let error = PlayFileError.lineTooLong(path: path, line: 3)
        #expect(throws: error) { try lines("a\nb\n\(whole)\nc") }
        #expect(throws: error) { try lines("a\nb\n\(whole)") }
    }

    @Test func `is an error if it does not exist`() {
        #expect(throws: PlayFileError.self) { _ = try PlayFile(path: folder.path("nothing")) }
    }

    /// `Fixtures/plays` contains the messages and the expected counts and rejections.
    @Test func `gives the counts and rejections of the fixture`() throws {
        var file = try PlayFile(path: fixture("mixed.jsonl"))
        var counter = PlayCounter()
        var rejections: [String] = []
        var number = 0
        while let line = try file.next() {
            number += 1
            switch read(line) {
            case .success(let play): counter.count(play, arrival: .start)
            case .failure(let reason): rejections.append("\(number) \(reason.rawValue)")
            }
        }
        let counts = counter.removeChanges().map { "\($0.videoID) \($0.count)" }
        #expect(try counts.sorted() == text(fixture("mixed.counts")).sorted())
        #expect(try rejections == text(fixture("mixed.rejections")))
    }

    private func fixture(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/plays/\(name)").standardized.path
    }

    private func text(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    private func lines(_ text: String) throws -> [String] {
        let path = folder.path("plays")
        try Data(text.utf8).write(to: URL(filePath: path))
        var file = try PlayFile(path: path)
        var lines: [String] = []
        while let line = try file.next() { lines.append(String(decoding: line, as: UTF8.self)) }
        return lines
    }
}
