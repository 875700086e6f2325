import Foundation
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `A rejected message` {
    @Test func `is published to the topic of rejected messages with its reason, and is finished`()
        async throws
    {
        let (rejected, left) = try await rejected([play(1), "no play", "{\"video_id\":\"é\"}"])
        #expect(rejected.map(\.reason) == ["not_json", "bad_video_id"])
        #expect(rejected.map(\.body) == ["no play", "{\"video_id\":\"é\"}"])
        #expect(rejected.map(\.body_bytes) == [7, 17])
        #expect(rejected.allSatisfy { $0.message_id.count == 16 && $0.body_base64 == nil })
        #expect(left.messages + left.requeued == 0)
    }

    @Test func `contains its body in base 64 if it is not UTF-8`() throws {
        // 0xff is not valid in UTF-8.
        let json = try RejectedJSON(of: [0xff, 0x00])
        #expect(json.body == nil)
        #expect(json.body_base64 == "/wA=")
        #expect(json.reason == "invalid_utf8")
    }

    @Test(arguments: ["\u{1}", "a", "é", "\u{1F600}", "\"", "/"])
    func `has a truncated body, so that it fits into a message in any encoding`(text: String) throws
    {
        let body = Array(String(repeating: text, count: 1_100_000).utf8)
        for shift in 0..<text.utf8.count {
            let bytes = Array(body.dropFirst(shift).prefix(1_048_576 + shift))
            let json = try RejectedJSON(of: bytes)
            #expect(json.is_cut == true)
            #expect(json.body_bytes == bytes.count)
            if shift == 0 { #expect(try #require(json.body).allSatisfy { "\($0)" == text }) }
        }
    }

    @Test func `is requeued if its topic is unreachable`() async throws {
        let unreachable = SocketAddress(host: "127.0.0.1", port: 1)
        let left = try await withProcessor(rejects: unreachable) { fixture in
            fixture.start()
            fixture.publish([play(1), "no play", play(1)])
            fixture.onEvent = { event in
                guard case .finished(let count) = event else { return }
                #expect(count == 2)
                fixture.stop()
            }
        }
        #expect(left.requeued == 1)
        #expect(left.messages == 1)
    }

    @Test
    func
        `is not finished before it is published, and delays neither the plays of its batch nor a stop`()
        async throws
    {
        // The server accepts connections and never responds.
        let silence = try SilentServer()
        let left = try await withProcessor(rejects: silence.address) {
            $0.stopTimeout = .milliseconds(400)
        } _: { fixture in
            fixture.onEvent = { event in
                guard case .finished = event else { return }
                #expect(fixture.finished == 1)
                fixture.stop()
            }
            fixture.start()
            fixture.publish([play(1), "no play"])
        }
        #expect(left.messages == 1)
        silence.end()
    }

    @Test func `has a topic that is ephemeral if the topic of the plays is`() {
        func rejected(_ topic: String) -> String? {
            RejectedPlays.rejectedTopic(of: TopicName(topic)!)?.text
        }
        #expect(rejected("plays") == "plays.rejected")
        #expect(rejected("plays#ephemeral") == "plays.rejected#ephemeral")
        #expect(rejected(String(repeating: "p", count: 56)) == nil)
    }

    @Test func `is published to the nsqd from which it came`() async throws {
        let other = try await startBroker()
        let address = try SocketAddress(parsing: other.tcpAddress)
        try await withProcessor(second: address) { fixture in
            let producer = ProducerEngine(on: fixture.loop, nsqd: address)
            fixture.onEvent = { _ in
                guard fixture.finished == 3 else { return }
                producer.stop { fixture.stop() }
            }
            fixture.start()
            fixture.publish(["no play"])
            producer.start()
            for body in ["nor this", play(1)] {
                producer.publish(Array(body.utf8), to: plays) { #expect($0 == nil) }
            }
        }
        let rejected = await other.statistics().topics.first { $0.name == "plays.rejected" }
        #expect(rejected?.depth == 1)
        await other.stop()
    }

    @Test func `is truncated further for an nsqd with a small maximum message size`() async throws {
        let broker = try await startBroker(maxMessageBytes: 1_000)
        try await withProcessor(broker: broker) { fixture in
            fixture.onEvent = { event in
                if fixture.count({ $0 == .rejected(.notJSON) }) == 2, case .finished(1) = event {
                    fixture.stop()
                }
            }
            fixture.start()
            fixture.publish([String(repeating: "x", count: 1_000)])
        }
        let rejected = await broker.statistics().topics.first { $0.name == "plays.rejected" }
        #expect(rejected?.depth == 1)
        await broker.stop()
    }

    @Test func `is discarded after the most attempts if nsqd refuses every publish`() async throws {
        let broker = try await startBroker(maxMessageBytes: 60)
        let left = try await withProcessor(broker: broker) {
            $0.maxAttempts = 1
        } _: { fixture in
            fixture.onEvent = { if case .finished(1) = $0 { fixture.stop() } }
            fixture.start()
            fixture.publish(["no play"])
        }
        #expect(left.messages == 0)
        // The one permitted attempt is followed by a redelivery.
        #expect(left.requeued == 1)
        await broker.stop()
    }

    @Test func `is not parsed if it has too many attempts, and is counted with fewer`()
        async throws
    {
        let left = try await withProcessor {
            $0.maxAttempts = 3
        } _: { fixture in
            var attempts: [Int] = []
            let requeuer = ConsumerEngine(
                on: fixture.loop, topic: plays, channel: ChannelName("counts")!,
                nsqds: [fixture.nsqd])
            requeuer.onBatch = { batch in
                attempts += batch.map(\.attempts)
                requeuer.requeue(batch, after: .zero)
                guard attempts.count == 3 else { return }
                requeuer.stop {
                    fixture.processor.start()
                    fixture.publish([1])
                }
            }
            fixture.onEvent = { _ in
                guard fixture.finished == 2 else { return }
                #expect(fixture.count { $0 == .rejected(.tooManyAttempts) } == 1)
                #expect(fixture.count { $0 == .received(video(1)) } == 1)
                fixture.stop()
            }
            requeuer.start()
            fixture.producer.start()
            fixture.publish([2])
        }
        #expect(left.messages == 0)
    }

    /// The rejected messages of a processor, and the messages that are left at the broker.
    private func rejected(
        _ bodies: [String]
    ) async throws -> ([RejectedJSON], LeftAtNSQ) {
        var rejected: [RejectedJSON] = []
        let left = try await withProcessor { fixture in
            let reader = ConsumerEngine(
                on: fixture.loop, topic: TopicName("plays.rejected")!,
                channel: ChannelName("test")!, nsqds: [fixture.nsqd])
            reader.onBatch = { batch in
                for message in batch { rejected.append(RejectedJSON(message.body)) }
                reader.finish(batch)
            }
            reader.start()
            fixture.onEvent = { _ in
                guard fixture.finished == bodies.count else { return }
                fixture.processor.stop {
                    let timer = Timer(on: fixture.loop)
                    timer.start(after: .zero, repeating: .milliseconds(5)) {
                        let bad = fixture.count { if case .rejected = $0 { true } else { false } }
                        if rejected.count >= bad { fixture.loop.stop() }
                    }
                }
            }
            fixture.start()
            fixture.publish(bodies)
        }
        return (rejected, left)
    }
}

/// A rejected message by its JSON keys.
private struct RejectedJSON: Decodable {
    var reason: String
    var description: String
    var message_id: String
    var body_bytes: Int
    var body: String?
    var body_base64: String?
    var is_cut: Bool?

    init(_ bytes: [UInt8]) {
        try! self.init(json: bytes)
    }

    /// Creates the rejected message of a body, which must fit into nsqd's default message size.
    init(of body: [UInt8]) throws {
        let reason = #expect(throws: Rejection.self) { try Play(parsing: body.span.bytes) }
        let bytes = try body.withUnsafeBytes {
            RejectedMessage(id: "0123456789abcdef", body: $0, reason: try #require(reason)).json
        }
        #expect(bytes.count <= Limits.messageBytes)
        self.init(bytes)
    }
}

/// A server that accepts connections and never responds.
private final class SilentServer: Sendable {
    let address: SocketAddress
    private let thread: LoopThread

    init() throws {
        thread = try LoopThread(name: "silence")
        let (thread, box) = (thread, LockedValue<SocketAddress?>(nil))
        let isThere = DispatchSemaphore(value: 0)
        thread.mailbox.submit { loop in
            let listener = try? Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            box.withLock { $0 = listener?.address }
            isThere.signal()
        }
        isThere.wait()
        address = try #require(box.withLock { $0 })
    }

    func end() {
        thread.stop()
        thread.join()
    }
}
