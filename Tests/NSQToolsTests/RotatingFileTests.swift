import CZlib
import Foundation
import Logging
import TallyBasics
import TestKit
import Testing

@testable import NSQTools

private let start: Int64 = 1_700_000_000

private func time(_ seconds: Double) -> Timestamp {
    Timestamp(
        monotonic: Int64(seconds * 1e9), wall: (start + Int64(seconds)) * 1_000_000_000)
}

/// Files in a temporary folder. The names contain the second, unless a test changes that.
private final class Fixture {
    let folder: TemporaryFolder
    let file: RotatingFile
    private var options = FileOptions()

    init(in folder: TemporaryFolder, _ change: (inout FileOptions) -> Void = { _ in }) throws {
        self.folder = folder
        options.outputFolder = folder.path("out")
        options.fileNameFormat = "<TOPIC><REV>.<DATETIME>.log"
        options.dateFormat = "day"
        change(&options)
        let format = try FileNameFormat(options, topic: "plays", hostname: "h", processID: 1)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        file = RotatingFile(options, format, label: "plays/archive", logger: logger)
    }

    @discardableResult
    func append(_ text: String, at seconds: Double = 0) throws -> Bool {
        try Array(text.utf8).withUnsafeBytes { try file.append($0, at: time(seconds)) }
    }

    /// The contents of the files in a folder by their names.
    func contents(of name: String = "out") throws -> [String: String] {
        let path = folder.url.appending(component: name)
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path.path) else {
            return [:]
        }
        return Dictionary(
            uniqueKeysWithValues: try names.map { name in
                let data = try Data(contentsOf: path.appending(component: name))
                let bytes = name.hasSuffix(".gz") ? gunzip(Array(data)) : Array(data)
                return (name, String(decoding: bytes, as: UTF8.self))
            })
    }
}

/// Decompresses the complete members of a gzip file.
private func gunzip(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    inflateInit2_(&stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    defer { inflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: 1 << 20)
    return input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { memory in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = memory.baseAddress
            stream.avail_out = UInt32(memory.count)
            while stream.avail_in > 0, inflate(&stream, Z_NO_FLUSH) == Z_STREAM_END {
                inflateReset(&stream)
            }
            return Array(memory.prefix(memory.count - Int(stream.avail_out)))
        }
    }
}

@Suite struct `The files of nsq_to_file` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func `contain one message per line after a sync`() throws {
        let fixture = try Fixture(in: folder)
        try fixture.append("one")
        try fixture.append("two")
        try fixture.file.sync()
        #expect(try fixture.contents() == ["plays.day.log": "one\ntwo\n"])
        try fixture.file.close()
    }

    @Test func `are continued by a later process, after the part of a line of a killed one`() throws
    {
        try FileManager.default.createDirectory(
            atPath: folder.path("out"), withIntermediateDirectories: true)
        try Data("one\ntw".utf8).write(to: folder.url.appending(path: "out/plays.day.log"))
        let fixture = try Fixture(in: folder)
        try fixture.append("two")
        try fixture.file.close()
        #expect(try fixture.contents() == ["plays.day.log": "one\ntw\ntwo\n"])
    }

    @Test func `are rotated when their name changes`() throws {
        let fixture = try Fixture(in: folder) { $0.dateFormat = "%S" }
        let first = FileNameFormat.date("%S", at: Int(start))
        let second = FileNameFormat.date("%S", at: Int(start) + 1)
        #expect(try fixture.append("one", at: 0))
        #expect(try !fixture.append("two", at: 0.5))
        #expect(try fixture.append("three", at: 1))
        try fixture.file.close()
        #expect(
            try fixture.contents() == [
                "plays.\(first).log": "one\ntwo\n", "plays.\(second).log": "three\n",
            ])
    }

    @Test func `are rotated when they are larger than the size`() throws {
        let fixture = try Fixture(in: folder) { $0.rotateSize = 7 }
        for text in ["one", "two", "three", "four"] { try fixture.append(text) }
        try fixture.file.close()
        #expect(
            try fixture.contents() == [
                "plays-000000.day.log": "one\ntwo\n", "plays-000001.day.log": "three\nfour\n",
            ])
    }

    @Test func `are not rotated when they have exactly the size`() throws {
        let fixture = try Fixture(in: folder) { $0.rotateSize = 8 }
        for text in ["one", "two", "three", "four"] { try fixture.append(text) }
        try fixture.file.close()
        #expect(
            try fixture.contents() == [
                "plays-000000.day.log": "one\ntwo\nthree\n", "plays-000001.day.log": "four\n",
            ])
    }

    @Test func `are rotated when they are older than the interval`() throws {
        let fixture = try Fixture(in: folder) { $0.rotateInterval = .seconds(10) }
        try fixture.append("one", at: 0)
        try fixture.append("two", at: 10)
        try fixture.append("three", at: 10.1)
        try fixture.file.tick(at: time(20))
        try fixture.file.tick(at: time(21))
        try fixture.file.close()
        #expect(
            try fixture.contents() == [
                "plays-000000.day.log": "one\ntwo\n", "plays-000001.day.log": "three\n",
                "plays-000002.day.log": "",
            ])
    }

    @Test func `are created only for messages if empty ones are skipped`() throws {
        let fixture = try Fixture(in: folder) {
            $0.rotateInterval = .seconds(10)
            $0.skipsEmptyFiles = true
        }
        try fixture.file.tick(at: time(0))
        try fixture.append("one", at: 1)
        try fixture.file.tick(at: time(20))
        try fixture.file.tick(at: time(40))
        try fixture.file.close()
        #expect(try fixture.contents() == ["plays-000000.day.log": "one\n"])
    }

    @Test func `never continue a compressed file`() throws {
        for text in ["one", "two"] {
            let fixture = try Fixture(in: folder) { $0.gzipLevel = 6 }
            try fixture.append(text)
            try fixture.file.close()
        }
        let fixture = try Fixture(in: folder)
        #expect(
            try fixture.contents() == [
                "plays-000000.day.log.gz": "one\n", "plays-000001.day.log.gz": "two\n",
            ])
    }

    @Test func `can be decompressed after each sync`() throws {
        let fixture = try Fixture(in: folder) { $0.gzipLevel = 1 }
        var expected = ""
        for number in 0..<50 {
            let text = "message \(number) " + String(repeating: "x", count: number * 100)
            try fixture.append(text)
            expected += text + "\n"
            guard number % 10 == 9 else { continue }
            try fixture.file.sync()
            #expect(try fixture.contents() == ["plays-000000.day.log.gz": expected])
        }
        try fixture.file.close()
    }

    @Test func `are moved to the output folder when they are finished`() throws {
        let fixture = try Fixture(in: folder) { [folder] in $0.workFolder = folder.path("work") }
        try fixture.append("one")
        try fixture.file.sync()
        #expect(try fixture.contents(of: "work") == ["plays-000000.day.log": "one\n"])
        #expect(try fixture.contents() == [:])
        try fixture.file.close()
        #expect(try fixture.contents(of: "work") == [:])
        #expect(try fixture.contents() == ["plays-000000.day.log": "one\n"])
    }

    @Test func `never replace a file in the output folder`() throws {
        let fixture = try Fixture(in: folder) { [folder] in $0.workFolder = folder.path("work") }
        try fixture.append("mine")
        // Another process finishes files of the same names meanwhile.
        for name in ["plays-000000.day.log", "plays-000001.day.log"] {
            try Data("other".utf8).write(to: folder.url.appending(path: "out/\(name)"))
        }
        try fixture.file.close()
        #expect(
            try fixture.contents() == [
                "plays-000000.day.log": "other", "plays-000001.day.log": "other",
                "plays-000002.day.log": "mine\n",
            ])
        try fixture.append("next")
        try fixture.file.close()
        #expect(try fixture.contents()["plays-000003.day.log"] == "next\n")
    }

    @Test func `are in folders that are created for them`() throws {
        let fixture = try Fixture(in: folder) { $0.fileNameFormat = "a/<TOPIC>/b.log" }
        try fixture.append("one")
        try fixture.file.close()
        let path = folder.url.appending(path: "out/a/plays/b.log")
        #expect(try String(contentsOf: path, encoding: .utf8) == "one\n")
    }

    @Test func `report a folder that cannot be created`() throws {
        try Data().write(to: folder.url.appending(component: "out"))
        let fixture = try Fixture(in: folder)
        let error = #expect(throws: FileError.self) { try fixture.append("one") }
        #expect(error?.description.hasPrefix("unable to ") == true)
    }
}
