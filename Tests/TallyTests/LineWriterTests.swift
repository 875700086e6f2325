import Foundation
import Testing

@testable import tally

@Suite struct `A line writer` {
    /// A pipe and a line writer for its end.
    private struct WrittenPipe {
        let reading: Int32
        let writer: LineWriter

        init() {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            reading = ends[0]
            writer = LineWriter(descriptor: ends[1])
        }

        /// Reads `count` lines, byte by byte, so that later ones stay in the pipe.
        func read(lines count: Int) -> [String] {
            (0..<count).map { _ in
                var line: [UInt8] = []
                var byte: UInt8 = 0
                while Foundation.read(reading, &byte, 1) == 1, byte != 0x0a { line.append(byte) }
                return String(decoding: line, as: UTF8.self)
            }
        }
    }

    @Test(.timeLimit(.minutes(15))) func `writes lines in order`() {
        let pipe = WrittenPipe()
        for number in 0..<100 { pipe.writer.print("line \(number)") }
        #expect(pipe.read(lines: 100) == (0..<100).map { "line \($0)" })
    }

    @Test(.timeLimit(.minutes(15)))
    func `drops lines beyond its limit without a reader and reports their number`() throws {
        let pipe = WrittenPipe()
        let line = String(repeating: "x", count: 1023)
        let count = 3 * LineWriter.maxPendingBytes / 1024
        for _ in 0..<count { pipe.writer.print(line) }
        #expect(!pipe.writer.flush(timeout: .milliseconds(1)))
        // There can be several reports, because batches are taken while lines are still printed.
        var (written, dropped) = (0, 0)
        while written + dropped < count {
            let line = pipe.read(lines: 1)[0]
            if line.hasPrefix("x") {
                written += 1
            } else {
                try #require(line.hasSuffix("lines dropped"))
                dropped += try #require(Int(line.split(separator: " ")[1]))
            }
        }
        #expect(written + dropped == count)
        // 64 lines fit into the pipe. One batch can be in the write call while the next one fills up.
        #expect(written <= 2 * LineWriter.maxPendingBytes / 1024 + 64)
    }

    @Test(.timeLimit(.minutes(15))) func `discards lines after its reader has closed the pipe`() {
        let pipe = WrittenPipe()
        close(pipe.reading)
        signal(SIGPIPE, SIG_IGN)
        pipe.writer.print("unread")
        #expect(pipe.writer.flush())
    }
}
