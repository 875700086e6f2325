import BrokerCore
import NSQWire
import TestKit
import Testing

@Suite struct `The input of a client` {
    /// The commands of one client, and everything that it receives.
    private func conversation(_ bytes: [UInt8], cutAt cuts: [Int]) -> [Received] {
        let broker = TestBroker()
        let client = broker.connectedClient()
        var start = 0
        for end in cuts + [bytes.count] where end > start {
            client.send(Array(bytes[start..<end]))
            start = end
        }
        return client.take()
    }

    /// The magic and one command of every kind, with the first message IDs of a new broker.
    private var script: [UInt8] {
        var bytes = Array(Command.magic.bytes)
        var request = Identify()
        request.featureNegotiation = true
        request.messageTimeout = 5_000
        Command.identify.append(body: request.json, to: &bytes)
        Command.nop.append(to: &bytes)
        Command.publish(.plays).append(body: Array("one\nFIN two".utf8), to: &bytes)
        Command.appendMultiPublish(.plays, [[1], [2, 10], [3, 13, 10]], to: &bytes)
        Command.deferredPublish(.plays, afterMilliseconds: 0).append(body: [4], to: &bytes)
        Command.subscribe(.plays, .count).append(to: &bytes)
        Command.ready(count: 5).append(to: &bytes)
        FinishLine.append([MessageID(0), MessageID(.max)], to: &bytes)
        Command.touch(MessageID(5)).append(to: &bytes)
        Command.requeue(MessageID(6), afterMilliseconds: 10).append(to: &bytes)
        Command.close.append(to: &bytes)
        bytes += Array("BAD command\r\nNOP\n".utf8)
        return bytes
    }

    /// Compares the responses and the messages separately, because their relative order depends on
    /// the ends of the loop iterations.
    private func sorted(_ received: [Received]) -> [Received] {
        received.filter { $0.message == nil } + received.filter { $0.message != nil }
    }

    @Test func `has the same effect in one chunk and byte by byte`() {
        let whole = sorted(conversation(script, cutAt: []))
        let single = sorted(conversation(script, cutAt: Array(1..<script.count)))
        #expect(whole.count > 10)
        #expect(single.filter { $0.message == nil } == whole.filter { $0.message == nil })
        #expect(single.compactMap(\.message?.text).prefix(1) == ["one\nFIN two"])
    }

    @Test func `has the same effect when it is split at any position`() {
        let whole = conversation(script, cutAt: []).filter { $0.message == nil }
        for cut in 1..<script.count {
            let parts = conversation(script, cutAt: [cut]).filter { $0.message == nil }
            #expect(parts == whole, "cut at \(cut)")
        }
    }

    @Test func `has the same effect in chunks of any sizes`() {
        let whole = conversation(script, cutAt: []).filter { $0.message == nil }
        var random = SeededGenerator()
        for _ in 1...100 {
            let cuts = (1..<script.count).filter { _ in Int.random(in: 0..<8, using: &random) == 0 }
            let parts = conversation(script, cutAt: cuts).filter { $0.message == nil }
            #expect(parts == whole, "\(random.repetition(of: "BrokerCoreTests"))")
        }
    }

    @Test func `can be split anywhere in a run of FINs`() {
        for cut in 0...(3 * FinishLine.byteCount) {
            let broker = TestBroker()
            let consumer = broker.consumer(ready: 10)
            broker.client().multiPublish(["one", "two", "three"])
            var bytes: [UInt8] = []
            FinishLine.append(consumer.takeMessages().map(\.id), to: &bytes)
            consumer.send(Array(bytes.prefix(cut)))
            consumer.send(Array(bytes.dropFirst(cut)))
            #expect(consumer.take() == [])
            #expect(broker.channel()?.inFlightCount == 0, "cut at \(cut)")
        }
    }

    @Test func `has each size of a large MPUB checked only once`() {
        let broker = TestBroker()
        let consumer = broker.consumer(ready: 2_500)
        let producer = broker.client()
        var random = SeededGenerator(seed: 3)
        let bodies = (1...2_000).map { number in
            [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1 + number % 40)
        }
        var bytes: [UInt8] = []
        Command.nop.append(to: &bytes)
        Command.appendMultiPublish(.plays, bodies, to: &bytes)
        Command.publish(.plays).append(body: [255], to: &bytes)
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...500, using: &random))
            producer.send(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        #expect(producer.take() == [.ok, .ok])
        #expect(consumer.takeMessages().map(\.body) == bodies + [[255]])
    }

    @Test func `is not parsed again until an incomplete body is complete`() {
        let broker = TestBroker()
        let producer = broker.client()
        producer.send(text: "PUB plays\n\0\0\u{1}\0abc")
        #expect(producer.session.neededBytes == 10 + 4 + 256)
        producer.send(text: String(repeating: "x", count: 252))
        #expect(producer.take() == [])
        producer.send(text: "!NOP\n")
        #expect(producer.take() == [.ok])
        #expect(producer.session.neededBytes == 0)
    }
}
