import Testing

@testable import UVLoop

@Suite final class `A share of a turn` {
    private var work = TurnShare(most: 2 << 20, least: 16 << 10)

    @Test func `is all there is to do for a single one`() {
        work.join(in: 1)
        #expect(work.share == 2 << 20)
    }

    @Test func `gets less with each that joins, but is always worth beginning with`() {
        var shares: [Int] = []
        for _ in 1...1_000 {
            work.join(in: 1)
            shares.append(work.share)
        }
        #expect(shares[1] == 1 << 20)
        #expect(shares[127] == 16 << 10)
        #expect(shares.last == 16 << 10)
        #expect(shares == shares.sorted(by: >))
    }

    @Test func `is that of as many as there were in the turn right before`() {
        for _ in 1...4 { work.join(in: 7) }
        work.join(in: 8)
        #expect(work.share == 512 << 10)
        work.join(in: 9)
        #expect(work.share == 2 << 20)
        for _ in 1...4 { work.join(in: 10) }
        work.join(in: 12)
        #expect(work.share == 2 << 20)
    }

    @Test func `keeps a turn short in which two hundred have much to say`() throws {
        let count = 200
        let each = 100_000
        var readers: [Collector] = []
        var servers: [Stream] = []
        var turns = [0]
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { server in
                let reader = Collector(bufferBytes: 64 << 10)
                reader.onEnd = { $0.close() }
                server.reader = reader
                readers.append(reader)
                servers.append(server)
            }
            let slice = lastingSlice(each)
            for _ in 1...count {
                Stream.connect(to: listener.address, on: loop) { result in
                    guard let stream = try? result.get() else { return }
                    stream.write(slice) { #expect($0 == nil) }
                    stream.shutdown { _ in stream.close() }
                }
            }
            // They are heard once all have said what they have to say.
            loop.endOfTurn = {
                turns.append(readers.reduce(0) { $0 + $1.bytes.count })
                guard servers.count == count, !listener.isClosing else { return }
                listener.close()
                servers.forEach { $0.startReading() }
            }
        }
        #expect(turns.last == count * each)
        let most = zip(turns.dropFirst(), turns).map { $0 - $1 }.max()!
        #expect(most < 8 << 20)
        #expect(readers.allSatisfy { $0.ends == [nil] })
    }
}
