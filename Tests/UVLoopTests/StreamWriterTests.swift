import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A stream writer` {
    @Test func `writes its buffer at once when the socket buffer has room`() throws {
        let reader = Collector()
        try withWriter(reader: reader) { writer, peer in
            reader.onBytes = { _ in peer.loop.stop() }
            writer.buffer += "play".utf8
            #expect(writer.unsentByteCount == 4)
            #expect(writer.flush() == .written)
            #expect(writer.flush() == .written)
            #expect(writer.unsentByteCount == 0)
            peer.startReading()
        }
        #expect(reader.bytes == Array("play".utf8))
    }

    @Test func `queues what the socket buffer does not accept, and collects what follows`() throws {
        let reader = Collector(bufferBytes: 1 << 20)
        let size = 20 << 20
        var drains: [UVError?] = []
        var writer: StreamWriter?
        try withWriter(
            reader: reader,
            onDrain: { error in
                drains.append(error)
                if drains.count == 1 { #expect(writer?.flush() == .written) }
            }
        ) { newWriter, peer in
            writer = newWriter
            newWriter.buffer = Array(repeating: 1, count: size)
            #expect(newWriter.flush() == .queued)
            #expect(newWriter.isBlocked)
            newWriter.buffer += [2, 3]
            #expect(newWriter.flush() == .queued)
            #expect(newWriter.unsentByteCount == newWriter.queuedByteCount + 2)
            reader.onBytes = { _ in if reader.bytes.count == size + 2 { peer.loop.stop() } }
            peer.startReading()
        }
        #expect(drains == [nil])
        #expect(reader.bytes.suffix(3) == [1, 2, 3])
        writer = nil
    }

    @Test func `writes slices without a copy, and retains their owner until then`() throws {
        let reader = Collector(bufferBytes: 1 << 20)
        let size = 20 << 20
        weak var released: Collector?
        try withWriter(reader: reader) { writer, peer in
            let owner = Collector(bufferBytes: size)
            released = owner
            let memory = UnsafeRawBufferPointer(owner.readBuffer(for: peer, suggested: 0))
            let (head, tail) = (memory[..<10], memory[10...])
            let slices = [IOSlice(.init(rebasing: head)), IOSlice(.init(rebasing: tail))]
            #expect(writer.write(slices, owner: owner) == .queued)
            reader.onBytes = { _ in if reader.bytes.count == size { peer.loop.stop() } }
            peer.startReading()
        }
        #expect(reader.bytes.count == size)
        #expect(released == nil)
    }

    @Test func `reports a closed stream`() throws {
        try withWriter(reader: Collector()) { writer, peer in
            writer.stream.close()
            writer.buffer += [1]
            #expect(writer.flush() == .failed(.canceled))
            peer.loop.stop()
        }
    }
}
