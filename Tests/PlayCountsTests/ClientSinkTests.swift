import Foundation
import HTTP
import Logging
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TallyBasics
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The HTTP sink` {
    @Test func `posts each call as JSON, one after the other`() throws {
        let service = CountService()
        var answers = 0
        try serve(service) { loop, url, done in
            let sink = HTTPSink(to: url, on: loop)
            for call in calls(3) {
                sink.send(call) { answer in
                    #expect(throws: Never.self) { try answer.get() }
                    answers += 1
                    if answers == 3 { done(sink) }
                }
            }
        }
        #expect(
            service.bodies
                == (0..<3).map { index in
                    "{\"videos\":[{\"video_id\":\"\(video(index))\",\"play_count\":7}]}"
                })
        #expect(service.mostAtOnce == 1)
        #expect(service.types == ["application/json", "application/json", "application/json"])
    }

    @Test(arguments: [200, 204, 299, 300, 302, 404, 500])
    func `treats a status of 2xx as accepted, and any other as failed`(status: Int) throws {
        let service = CountService()
        service.status = status
        var answers: [Bool] = []
        try serve(service) { loop, url, done in
            let sink = HTTPSink(to: url, on: loop)
            for call in calls(3) {
                sink.send(call) { answer in
                    answers.append((try? answer.get()) != nil)
                    if answers.count == 3 { done(sink) }
                }
            }
        }
        let isAccepted = 200..<300 ~= status
        #expect(answers == Array(repeating: isAccepted, count: 3))
        // After a failed call, the calls that are queued after it are not made.
        #expect(service.bodies.count == (isAccepted ? 3 : 1))
    }

    @Test func `fails a call after the request timeout`() throws {
        let service = CountService()
        service.status = nil
        var failure: SinkError?
        try serve(service, clock: .manual) { loop, url, done in
            service.onRequest = { loop.runInNextIteration { loop.advance(by: .milliseconds(20)) } }
            let sink = HTTPSink(to: url, on: loop, requestTimeout: .milliseconds(20))
            sink.send(calls(1)[0]) { answer in
                if case .failure(let error) = answer { failure = error }
                done(sink)
            }
        }
        #expect(failure == .unreachable("request timed out"))
    }

    private func serve(
        _ service: CountService, clock: Loop.Clock = .system,
        _ body: @escaping (Loop, HTTPURL, _ done: @escaping (HTTPSink) -> Void) -> Void
    ) throws {
        try onLoop(clock: clock) { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            body(loop, HTTPURL(address: address, target: "/counts")) { sink in
                sink.close()
                withExtendedLifetime(server) { loop.stop() }
            }
        }
    }
}

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The NSQ sink` {
    @Test func `publishes each call as a message`() async throws {
        let broker = try await startBroker()
        let address = try SocketAddress(parsing: broker.tcpAddress)
        var bodies: [String] = []
        try onLoop { loop in
            let sink = NSQSink(
                to: address, topic: TopicName("counts")!, on: loop, logger: Logger(label: "sink"))
            let reader = ConsumerEngine(
                on: loop, topic: TopicName("counts")!, channel: ChannelName("test")!,
                nsqds: [address])
            reader.onBatch = { batch in
                bodies += batch.map { String(decoding: $0.body, as: UTF8.self) }
                reader.finish(batch)
                guard bodies.count == 2 else { return }
                sink.close()
                loop.stop()
            }
            reader.start()
            for call in calls(2) {
                sink.send(call) { answer in #expect(throws: Never.self) { try answer.get() } }
            }
        }
        #expect(
            bodies
                == (0..<2).map { index in
                    "{\"videos\":[{\"video_id\":\"\(video(index))\",\"play_count\":7}]}"
                })
        await broker.stop()
    }

    @Test func `fails every call while nsqd is unreachable`() throws {
        var failures = 0
        try onLoop { loop in
            let sink = NSQSink(
                to: SocketAddress(host: "127.0.0.1", port: 1), topic: TopicName("counts")!,
                on: loop, logger: Logger(label: "sink"))
            for call in calls(2) {
                sink.send(call) { answer in
                    #expect(throws: SinkError.self) { try answer.get() }
                    failures += 1
                    guard failures == 2 else { return }
                    sink.close()
                    loop.stop()
                }
            }
        }
        #expect(failures == 2)
    }
}

/// Calls with one video each.
private func calls(_ count: Int) -> [Call] {
    var settings = CallScheduler.Settings()
    settings.videosPerCall = 1
    var scheduler = CallScheduler(settings)
    scheduler.enqueue(
        (0..<count).map { change($0, count: 7, at: .nanoseconds($0), immediate: true) })
    return scheduler.startDueCalls(at: .start + .seconds(1))
}

/// An HTTP server that responds with one status, or not at all.
private final class CountService: HTTPService {
    var status: Int? = 200
    var onRequest: () -> Void = {}
    private(set) var bodies: [String] = []
    private(set) var types: [String] = []
    private(set) var mostAtOnce = 0
    private var atOnce = 0

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        .collect(limit: 1 << 20, tooLarge: HTTPResponse(status: 413))
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        bodies.append(String(decoding: request.body, as: UTF8.self))
        types.append(request.headers["content-type"] ?? "")
        atOnce += 1
        mostAtOnce = max(mostAtOnce, atOnce)
        onRequest()
        guard let status else { return }
        atOnce -= 1
        respond(HTTPResponse(status: status))
    }
}
