import Foundation
import Logging
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TallyBasics
import Testing
import UVLoop

/// A processor with a producer on one loop. It logs all events in order.
final class ProcessorFixture {
    enum Event: Equatable {
        case received(VideoID)
        case repeated(VideoID)
        case rejected(Rejection)
        case committed([PlayCount])
        case called([PlayCount])
        case finished(Int)
        case storeFailed(StoreError.Kind)
        case storeRecovered
        case failed(StoreError.Kind)
    }

    let loop: Loop
    let nsqd: SocketAddress
    let store: PlayStore
    let client: FakeClient
    let consumer: ConsumerEngine
    let producer: ProducerEngine
    let processor: PlayProcessor
    private(set) var events: [Event] = []
    /// Called with each event after it was logged.
    var onEvent: (Event) -> Void = { _ in }

    /// - Parameters:
    ///   - rejects: the nsqd for rejected messages; by default the same one.
    ///   - second: another nsqd from which plays are consumed.
    init(
        on loop: Loop, nsqd: SocketAddress, store: PlayStore, rejects: SocketAddress? = nil,
        others: [Client] = [], second: SocketAddress? = nil, maxInFlight: Int = 1_000,
        _ change: (inout PlayProcessor.Settings) -> Void = { _ in }
    ) throws {
        self.loop = loop
        self.nsqd = nsqd
        self.store = store
        client = FakeClient(on: loop)
        var logger = Logger(label: "fixture")
        logger.logLevel = .critical
        var options = Consumer.Options()
        options.maxInFlight = maxInFlight
        options.outputBufferTimeout = .milliseconds(25)
        consumer = ConsumerEngine(
            on: loop, topic: plays, channel: ChannelName("counts")!,
            nsqds: [nsqd] + (second.map { [$0] } ?? []),
            options: options, logger: logger)
        producer = ProducerEngine(on: loop, nsqd: nsqd, logger: logger)
        var settings = PlayProcessor.Settings()
        settings.jitterSeed = 1
        // With this timeout, a stop is complete even on a slow machine.
        settings.stopTimeout = .seconds(600)
        change(&settings)
        processor = try PlayProcessor(
            on: loop, consumer: consumer,
            rejects: RejectedPlays(
                of: plays, consumer: consumer, maxAttempts: settings.maxAttempts, logger: logger
            ) { nsqd in
                let producer = ProducerEngine(on: loop, nsqd: rejects ?? nsqd, logger: logger)
                producer.start()
                return producer
            }!,
            store: store, clients: [Client("fixture", sink: client)] + others, settings: settings,
            logger: logger)
        client.onCall = { [unowned self] in append(.called($0.counts)) }
        processor.observer.counted = { [unowned self] play, _ in append(.received(play.videoID)) }
        processor.observer.duplicate = { [unowned self] play, _ in append(.repeated(play.videoID)) }
        processor.observer.rejected = { [unowned self] in append(.rejected($0)) }
        processor.observer.committed = { [unowned self] changes, _ in
            append(.committed(changes.map { PlayCount(of: $0.videoID, $0.count) }))
        }
        processor.observer.finished = { [unowned self] count, _ in append(.finished(count)) }
        processor.observer.storeChanged = { [unowned self] error in
            append(error.map { .storeFailed($0.kind) } ?? .storeRecovered)
        }
        processor.onFailure = { [unowned self] in append(.failed($0.kind)) }
    }

    func start() {
        producer.start()
        processor.start()
    }

    /// Publishes messages as one batch, or each on its own.
    func publish(_ bodies: [String], to topic: TopicName = plays, apart: Bool = false) {
        for group in apart ? bodies.map({ [$0] }) : [bodies] {
            producer.publish(PublishBatch(group.map { Array($0.utf8) }), to: topic) { error in
                #expect(error == nil)
            }
        }
    }

    func publish(_ videos: [Int]) {
        publish(videos.map(play))
    }

    /// Stops the processor, and then the loop.
    func stop() {
        processor.stop { [loop] in loop.stop() }
    }

    func count(_ isWanted: (Event) -> Bool) -> Int { events.count(where: isWanted) }

    var finished: Int {
        events.reduce(0) { if case .finished(let count) = $1 { $0 + count } else { $0 } }
    }

    private func append(_ event: Event) {
        events.append(event)
        onEvent(event)
    }
}

/// A client that accepts calls, refuses them, or does not respond.
final class FakeClient: Sink {
    enum Behavior { case accepts, refuses, doesNotRespond }

    var behavior = Behavior.accepts
    var onCall: (Call) -> Void = { _ in }
    /// Called after each refusal.
    var onRefusal: () -> Void = {}
    /// The accepted counts in order.
    private(set) var accepted: [PlayCount] = []
    private(set) var refusals: [MonotonicInstant] = []
    private let loop: Loop

    init(on loop: Loop) {
        self.loop = loop
    }

    func send(_ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void) {
        switch behavior {
        case .accepts:
            accepted += call.counts
            onCall(call)
            completion(.success(()))
        case .refuses:
            refusals.append(loop.instant)
            completion(.failure(.unreachable("refused by the test")))
            onRefusal()
        case .doesNotRespond: onCall(call)
        }
    }

    /// The latest total of each video.
    var totals: [VideoID: Int] {
        accepted.reduce(into: [:]) { $0[$1.videoID] = $1.count }
    }
}

let plays = TopicName("plays")!

/// The message of a play of the video.
func play(_ index: Int) -> String { "{\"video_id\":\"\(video(index))\"}" }

/// The message of a play with a play ID.
func play(_ index: Int, named name: String) -> String {
    "{\"video_id\":\"\(video(index))\",\"play_id\":\"\(name)\"}"
}

/// Runs `body` on a new loop until it stops the loop.
///
/// - Parameter seconds: the time after which the test fails. It only ends a test that hangs.
func onLoop(
    clock: Loop.Clock = .system, within seconds: Int = 300,
    _ location: SourceLocation = #_sourceLocation, _ body: @escaping (Loop) throws -> Void
) throws {
    let loop = try Loop(clock: clock)
    loop.runInNextIteration {
        #expect(throws: Never.self, sourceLocation: location) { try body(loop) }
    }
    let mailbox = loop.mailbox
    let watchdog = DispatchWorkItem {
        mailbox.submit { loop in
            Issue.record("the loop was not stopped within \(seconds) s", sourceLocation: location)
            loop.stop()
        }
    }
    DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds), execute: watchdog)
    defer { watchdog.cancel() }
    // This timer keeps the loop running until it is stopped.
    Timer(on: loop).start(after: .seconds(100_000)) {}
    loop.run()
    loop.close()
}

extension Loop {
    /// Advances the manual clock by 1 ms per iteration, and then calls `done`.
    func advance(milliseconds: Int, _ done: @escaping () -> Void) {
        guard milliseconds > 0 else { return done() }
        runInNextIteration { [self] in
            advance(by: .milliseconds(1))
            advance(milliseconds: milliseconds - 1, done)
        }
    }
}

/// Runs `body` with a processor and an embedded broker, by default a new one, until `body` stops
/// the loop.
@discardableResult
func withProcessor(
    broker given: EmbeddedBroker? = nil, store: PlayStore? = nil, rejects: SocketAddress? = nil,
    second: SocketAddress? = nil, others: OtherClients = OtherClients { _ in [] },
    clock: Loop.Clock = .system, _ location: SourceLocation = #_sourceLocation,
    settings change: @escaping (inout PlayProcessor.Settings) -> Void = { _ in },
    _ body: @escaping (ProcessorFixture) throws -> Void
) async throws -> LeftAtNSQ {
    let broker = if let given { given } else { try await startBroker() }
    let store = try store ?? PlayStore(.memory)
    var fixture: ProcessorFixture?
    try onLoop(clock: clock, location) { loop in
        let address = try SocketAddress(parsing: broker.tcpAddress)
        fixture = try ProcessorFixture(
            on: loop, nsqd: address, store: store, rejects: rejects, others: others.make(loop),
            second: second, change)
        try body(fixture!)
    }
    fixture = nil
    let left = LeftAtNSQ(await broker.statistics())
    if given == nil { await broker.stop() }
    return left
}

/// Clients in addition to the fixture's own.
struct OtherClients {
    let make: (Loop) -> [Client]
}

/// Starts a broker without log output.
func startBroker(
    messageTimeout: Duration = .seconds(60), maxMessageBytes: Int = Limits.messageBytes,
    clock: Loop.Clock = .system
) async throws -> EmbeddedBroker {
    var configuration = EmbeddedBroker.Configuration()
    configuration.messageTimeout = messageTimeout
    configuration.maxMessageBytes = maxMessageBytes
    configuration.logger.logLevel = .critical
    return try await EmbeddedBroker.start(configuration, clock: clock)
}

/// The unfinished messages in the processor's channel.
struct LeftAtNSQ: Equatable {
    var messages = 0
    var requeued = 0

    init(_ statistics: EmbeddedBroker.Statistics) {
        for channel in statistics.topics.first(where: { $0.name == "plays" })?.channels ?? [] {
            messages += channel.depth + channel.inFlightCount + channel.deferredCount
            requeued += channel.requeueCount
        }
    }
}
