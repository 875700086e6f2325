import Foundation
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import Testing
import UVLoop

@Suite(.timeLimit(.minutes(5))) struct `A message that is no play` {
    @Test func `goes to the topic of the rejected with its reason, and is finished`() async throws {
        let (rejected, left) = try await rejected([play(1), "no play", "{\"video_id\":\"é\"}"])
        #expect(rejected.map(\.reason) == ["not_json", "bad_video_id"])
        #expect(rejected.map(\.body) == ["no play", "{\"video_id\":\"é\"}"])
        #expect(rejected.map(\.body_bytes) == [7, 17])
        #expect(rejected.allSatisfy { $0.message_id.count == 16 && $0.body_base64 == nil })
        #expect(left.messages + left.requeued == 0)
    }

    @Test func `is kept as base 64 if it is no text`() throws {
        // 0xff begins nothing in UTF-8.
        let json = try RejectedJSON(of: [0xff, 0x00])
        #expect(json.body == nil)
        #expect(json.body_base64 == "/wA=")
        #expect(json.reason == "invalid_utf8")
    }

    @Test(arguments: ["\u{1}", "a", "é", "\u{1F600}", "\"", "/"])
    func `is cut so that it fits into a message, whatever it is made of`(text: String) throws {
        let body = Array(String(repeating: text, count: 1_100_000).utf8)
        for shift in 0..<text.utf8.count {
            let bytes = Array(body.dropFirst(shift).prefix(1_048_576 + shift))
            let json = try RejectedJSON(of: bytes)
            #expect(json.is_cut == true)
            #expect(json.body_bytes == bytes.count)
            if shift == 0 { #expect(try #require(json.body).allSatisfy { "\($0)" == text }) }
        }
    }

    @Test func `comes again when its topic cannot be reached`() async throws {
        let nobody = SocketAddress(host: "127.0.0.1", port: 1)
        let left = try await onStage(rejects: nobody) { stage in
            stage.start()
            stage.publish([play(1), "no play", play(1)])
            stage.onEvent = { event in
                guard case .finished(let count) = event else { return }
                #expect(count == 2)
                stage.stop()
            }
        }
        #expect(left.requeued == 1)
        #expect(left.messages == 1)
    }

    @Test func `is not finished before its topic has it, and does not hold up the end for ever`()
        async throws
    {
        // Takes connections and says nothing: somewhere, a message may have arrived, or not.
        let silence = try Silence()
        let left = try await onStage(rejects: silence.address) {
            $0.longestStop = .milliseconds(400)
        } _: { stage in
            stage.onEvent = { event in
                switch event {
                case .committed:
                    let timer = Timer(on: stage.loop)
                    timer.start(after: .milliseconds(50)) {
                        #expect(stage.finished == 0)
                        stage.stop()
                    }
                default: break
                }
            }
            stage.start()
            stage.publish([play(1), "no play"])
        }
        #expect(left.messages == 2)
        silence.end()
    }

    @Test func `goes to the nsqd that it came from`() async throws {
        let other = try await startBroker()
        let address = try SocketAddress(parsing: other.tcpAddress)
        try await onStage(second: address) { stage in
            let producer = ProducerEngine(on: stage.loop, nsqd: address)
            stage.onEvent = { _ in
                guard stage.finished == 3 else { return }
                producer.stop { stage.stop() }
            }
            stage.start()
            stage.publish(["no play"])
            producer.start()
            for body in ["nor this", play(1)] {
                producer.publish(Array(body.utf8), to: plays) { #expect($0 == nil) }
            }
        }
        let rejected = await other.statistics().topics.first { $0.name == "plays.rejected" }
        #expect(rejected?.depth == 1)
        await other.stop()
    }

    @Test func `is cut to what a broker takes that takes little`() async throws {
        let broker = try await startBroker(maxMessageBytes: 1_000)
        try await onStage(broker: broker) { stage in
            stage.onEvent = { event in
                if stage.count({ $0 == .rejected(.notJSON) }) == 2, case .finished(1) = event {
                    stage.stop()
                }
            }
            stage.start()
            stage.publish([String(repeating: "x", count: 1_000)])
        }
        let rejected = await broker.statistics().topics.first { $0.name == "plays.rejected" }
        #expect(rejected?.depth == 1)
        await broker.stop()
    }

    @Test func `is given up at last by a broker that takes it in no form`() async throws {
        let broker = try await startBroker(maxMessageBytes: 60)
        let left = try await onStage(broker: broker) {
            $0.maxAttempts = 1
        } _: { stage in
            stage.onEvent = { if case .finished(1) = $0 { stage.stop() } }
            stage.start()
            stage.publish(["no play"])
        }
        #expect(left.messages == 0)
        await broker.stop()
    }

    @Test func `or has come too often is put away unread, and a play before that is counted`()
        async throws
    {
        let left = try await onStage {
            $0.maxAttempts = 3
        } _: { stage in
            var attempts: [Int] = []
            let stubborn = ConsumerEngine(
                on: stage.loop, topic: plays, channel: ChannelName("counts")!, nsqds: [stage.nsqd])
            stubborn.onBatch = { batch in
                attempts += batch.map(\.attempts)
                stubborn.requeue(batch, after: .zero)
                guard attempts.count == 3 else { return }
                stubborn.stop {
                    stage.processor.start()
                    stage.publish([1])
                }
            }
            stage.onEvent = { _ in
                guard stage.finished == 2 else { return }
                #expect(stage.count { $0 == .rejected(.tooManyAttempts) } == 1)
                #expect(stage.count { $0 == .received(video(1)) } == 1)
                stage.stop()
            }
            stubborn.start()
            stage.producer.start()
            stage.publish([2])
        }
        #expect(left.messages == 0)
    }

    /// What a processor makes of the messages, and what is left of them at NSQ.
    private func rejected(
        _ bodies: [String]
    ) async throws -> ([RejectedJSON], LeftAtNSQ) {
        var rejected: [RejectedJSON] = []
        let left = try await onStage { stage in
            let reader = ConsumerEngine(
                on: stage.loop, topic: TopicName("plays.rejected")!,
                channel: ChannelName("test")!, nsqds: [stage.nsqd])
            reader.onBatch = { batch in
                for message in batch { rejected.append(RejectedJSON(message.body)) }
                reader.finish(batch)
            }
            reader.start()
            stage.onEvent = { _ in
                guard stage.finished == bodies.count else { return }
                stage.processor.stop {
                    let timer = Timer(on: stage.loop)
                    timer.start(after: .zero, repeating: .milliseconds(5)) {
                        let bad = stage.count { if case .rejected = $0 { true } else { false } }
                        if rejected.count >= bad { stage.loop.stop() }
                    }
                }
            }
            stage.start()
            stage.publish(bodies)
        }
        return (rejected, left)
    }
}

/// A rejected message, by the names that its readers rely on.
private struct RejectedJSON: Decodable {
    var reason: String
    var description: String
    var message_id: String
    var body_bytes: Int
    var body: String?
    var body_base64: String?
    var is_cut: Bool?

    init(_ bytes: [UInt8]) {
        self = try! JSONDecoder().decode(RejectedJSON.self, from: Data(bytes))
    }

    /// What is made of a body, which must fit into a message of nsqd's usual size.
    init(of body: [UInt8]) throws {
        let reason = #expect(throws: Rejection.self) { try Play(reading: body.span.bytes) }
        let bytes = try body.withUnsafeBytes {
            RejectedMessage(id: "0123456789abcdef", body: $0, reason: try #require(reason)).json
        }
        #expect(bytes.count <= Limits.messageBytes)
        self.init(bytes)
    }
}

/// A port whose owner takes connections and says nothing.
private final class Silence: Sendable {
    let address: SocketAddress
    private let thread: LoopThread

    init() throws {
        thread = try LoopThread(name: "silence")
        let (thread, box) = (thread, Guarded<SocketAddress?>(nil))
        let isThere = DispatchSemaphore(value: 0)
        thread.door.submit { loop in
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
