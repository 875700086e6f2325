import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A direct writer` {
    private func write(_ text: String, _ direct: DirectWriter) -> DirectWriter.Outcome {
        Array(text.utf8).withUnsafeBytes(direct.write)
    }

    @Test func `writes between opening and closing only`() throws {
        let reader = Collector()
        let direct = DirectWriter()
        try withWriter(reader: reader) { writer, peer in
            #expect(write("a", direct) == .refused)
            direct.open(writer.stream)
            #expect(write("b", direct) == .written)
            direct.close()
            #expect(write("c", direct) == .refused)
            reader.onBytes = { _ in peer.loop.stop() }
            peer.startReading()
        }
        #expect(reader.bytes == Array("b".utf8))
    }

    @Test func `refuses while the loop has unsent bytes, and writes again after them`() throws {
        let reader = Collector(bufferBytes: 1 << 20)
        let direct = DirectWriter()
        let size = 20 << 20
        try withWriter(reader: reader) { writer, peer in
            direct.open(writer.stream)
            writer.buffer = Array(repeating: 1, count: size)
            #expect(direct.flush(writer) == .queued)
            #expect(write("x", direct) == .refused)
            reader.onBytes = { _ in
                if reader.bytes.count == size, writer.queuedByteCount == 0 {
                    #expect(write("y", direct) == .refused)
                    #expect(direct.flush(writer) == .written)
                    #expect(write("z", direct) == .written)
                } else if reader.bytes.count > size {
                    peer.loop.stop()
                } else if reader.bytes.count == size {
                    // The writer's callback runs in the next iteration.
                    peer.loop.runInNextIteration { reader.onBytes(peer) }
                }
            }
            peer.startReading()
        }
        #expect(reader.bytes.suffix(2) == [1, UInt8(ascii: "z")])
    }

    @Test func `keeps the rest of a command in order, before what the loop writes`() throws {
        let reader = Collector(bufferBytes: 1 << 20)
        let direct = DirectWriter()
        let command = Array(repeating: UInt8(ascii: "f"), count: 3000)
        var sent: [UInt8] = []
        try withWriter(reader: reader) { writer, peer in
            direct.open(writer.stream)
            // Writes commands whose size does not divide the size of the socket buffer, until the
            // buffer is full.
            var outcome = DirectWriter.Outcome.written
            while outcome == .written {
                outcome = command.withUnsafeBytes(direct.write)
                if outcome != .refused { sent += command }
            }
            if outcome == .partlyWritten { #expect(write("x", direct) == .refused) }
            writer.buffer += Array("loop".utf8)
            sent += Array("loop".utf8)
            func flush() {
                guard direct.flush(writer) == .queued else { return }
                peer.loop.runInNextIteration(flush)
            }
            flush()
            reader.onBytes = { _ in
                if reader.bytes.count == sent.count { peer.loop.stop() }
            }
            peer.startReading()
        }
        #expect(reader.bytes == sent)
    }

    @Test func `refuses further commands until the loop has written the rest of one`() throws {
        let reader = Collector(bufferBytes: 1 << 20)
        let direct = DirectWriter()
        let command = [UInt8](repeating: 1, count: 64 << 20)
        var outcomes: Set<String> = []
        try withWriter(reader: reader) { writer, peer in
            direct.open(writer.stream)
            #expect(command.withUnsafeBytes(direct.write) == .partlyWritten)
            var iterations = 0
            func writeAgain() {
                outcomes.insert("\(write("x", direct))")
                iterations += 1
                // The peer has read in these iterations, so the socket buffer has space again.
                guard iterations < 500 else { return peer.loop.stop() }
                peer.loop.runInNextIteration(writeAgain)
            }
            peer.startReading()
            writeAgain()
        }
        #expect(outcomes == ["refused"])
        #expect(!reader.bytes.isEmpty)
    }
}
