import TestTraits
import Testing

@testable import UVLoop

@Suite(.blocking) final class `An iteration quota` {
    private var quota = IterationQuota(totalBytes: 2 << 20, minimumBytes: 16 << 10)

    @Test func `gives a single stream all bytes`() {
        quota.register(in: 1)
        #expect(quota.bytesPerStream == 2 << 20)
    }

    @Test func `shrinks with each stream down to its minimum`() {
        var shares: [Int] = []
        for _ in 1...1_000 {
            quota.register(in: 1)
            shares.append(quota.bytesPerStream)
        }
        #expect(shares[1] == 1 << 20)
        #expect(shares[127] == 16 << 10)
        #expect(shares.last == 16 << 10)
        #expect(shares == shares.sorted(by: >))
    }

    @Test func `starts from the number of streams in the iteration before`() {
        for _ in 1...4 { quota.register(in: 7) }
        quota.register(in: 8)
        #expect(quota.bytesPerStream == 512 << 10)
        quota.register(in: 9)
        #expect(quota.bytesPerStream == 2 << 20)
        for _ in 1...4 { quota.register(in: 10) }
        quota.register(in: 12)
        #expect(quota.bytesPerStream == 2 << 20)
    }

    @Test func `bounds the bytes read in one iteration from 200 streams`() throws {
        let count = 200
        let each = 100_000
        var readers: [Collector] = []
        var servers: [Stream] = []
        var totals = [0]
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
            // Reading starts when all clients have sent their bytes.
            loop.onIterationEnd = {
                totals.append(readers.reduce(0) { $0 + $1.bytes.count })
                guard servers.count == count, !listener.isClosing else { return }
                listener.close()
                servers.forEach { $0.startReading() }
            }
        }
        #expect(totals.last == count * each)
        let most = zip(totals.dropFirst(), totals).map { $0 - $1 }.max()!
        #expect(most < 8 << 20)
        #expect(readers.allSatisfy { $0.ends == [nil] })
    }
}
