import NSQClient
import NSQWire
import Testing
import Transport
import UVLoop

@Suite struct `The negotiation of a connection` {
    private func consumer(
        on loop: Loop, _ nsqd: FakeNSQD, _ change: (inout Consumer.Options) -> Void
    ) -> ConsumerEngine {
        var options = Consumer.Options()
        options.client.userAgent = "test"
        options.client.maxFrameBytes = 16 << 20
        change(&options)
        return ConsumerEngine(
            on: loop, topic: plays, channel: counts, nsqds: [nsqd.address], options: options,
            logger: quiet)
    }

    @Test func `requests every setting of the options`() throws {
        var requested: Identify?
        try withNSQD { loop, nsqd in
            nsqd.script = { _, command, body in
                guard command == .identify else { return false }
                requested = try? Identify(parsing: body)
                loop.stop()
                return true
            }
            let consumer = consumer(on: loop, nsqd) {
                $0.client.clientID = "client"
                $0.client.hostname = "host"
                $0.client.topologyRegion = "region"
                $0.client.topologyZone = "zone"
                $0.client.heartbeatInterval = .seconds(5)
                $0.client.compression = .deflate(level: 3)
                $0.messageTimeout = .seconds(7)
                $0.outputBufferBytes = 1024
                $0.outputBufferTimeout = .milliseconds(30)
                $0.samplePercent = 42
            }
            consumer.start()
            loop.onIterationEnd = { withExtendedLifetime(consumer) {} }
        }
        var expected = Identify()
        expected.clientID = "client"
        expected.hostname = "host"
        expected.userAgent = "test"
        expected.topologyRegion = "region"
        expected.topologyZone = "zone"
        expected.featureNegotiation = true
        expected.heartbeatInterval = 5000
        expected.deflate = true
        expected.deflateLevel = 3
        expected.messageTimeout = 7000
        expected.outputBufferSize = 1024
        expected.outputBufferTimeout = 30
        expected.sampleRate = 42
        #expect(requested == expected)
    }

    /// Answers IDENTIFY with deflate, and then sends encoded bytes without reading more commands.
    private func answer(
        _ nsqd: FakeNSQD, thenSending encoded: @escaping (FakeConnection) -> [UInt8]
    ) {
        nsqd.answer.deflate = true
        nsqd.script = { connection, command, _ in
            guard command == .identify else { return true }
            var bytes: [UInt8] = []
            Frame.append(.response, nsqd.answer.json, to: &bytes)
            connection.send(bytes + encoded(connection))
            return true
        }
    }

    @Test func `fails on bytes that cannot be decompressed`() throws {
        var failure: NSQError?
        try withNSQD { loop, nsqd in
            answer(nsqd) { _ in [0xff, 0xff, 0xff, 0xff] }
            let consumer = consumer(on: loop, nsqd) { $0.client.compression = .deflate() }
            consumer.onConnection = { _, error in
                failure = error
                loop.stop()
            }
            consumer.start()
            loop.onIterationEnd = { withExtendedLifetime(consumer) {} }
        }
        #expect(failure?.code == .unreachable)
        #expect(failure?.reason.hasPrefix("deflate: ") == true)
    }

    @Test func `decompresses a limited number of bytes before the loop does other work`() throws {
        let count = 40
        // Other work of the loop increments the phase.
        var phase = 0
        var received: [Int: Int] = [:]
        try withNSQD { loop, nsqd in
            // 40 messages of 200 KB are compressed to a few kilobytes.
            let body = String(repeating: "a", count: 200_000)
            answer(nsqd) { connection in
                let plain =
                    responseFrame(Frame.ok) + responseFrame(Frame.ok)
                    + connection.messageBytes(Array(repeating: body, count: count))
                let deflate = Deflate(level: 6)
                let wire = ByteBuffer()
                plain.withUnsafeBytes { deflate.encode($0, into: wire) }
                deflate.flush(into: wire)
                return Array(wire.bytes)
            }
            let consumer = consumer(on: loop, nsqd) { $0.client.compression = .deflate() }
            consumer.onBatch = { batch in
                received[phase, default: 0] += batch.count
                if received.values.reduce(0, +) == count { loop.stop() }
            }
            consumer.start()
            loop.onIterationEnd = {
                phase += 1
                withExtendedLifetime(consumer) {}
            }
        }
        #expect(received.values.reduce(0, +) == count)
        // A phase decompresses 1 MiB and the rest of a frame, so at most six messages.
        #expect(received.values.allSatisfy { $0 <= 6 })
    }
}
