import Foundation
import Logging
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import Testing
import UVLoop

/// A processor on a loop of its own, with a producer beside it, and all that happens written down
/// in order.
final class ProcessorStage {
    enum Event: Equatable {
        case received(VideoID)
        case repeated(VideoID)
        case rejected(Rejection)
        case committed([PlayCount])
        case called([PlayCount])
        case finished(Int)
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
    /// Sees every event after it was written down.
    var onEvent: (Event) -> Void = { _ in }

    /// - Parameters:
    ///   - rejects: where rejected messages go, if not to the same nsqd.
    ///   - second: another nsqd to take plays from.
    init(
        on loop: Loop, nsqd: SocketAddress, store: PlayStore, rejects: SocketAddress? = nil,
        others: [Client] = [], second: SocketAddress? = nil, maxInFlight: Int = 1_000,
        _ change: (inout PlayProcessor.Settings) -> Void = { _ in }
    ) throws {
        self.loop = loop
        self.nsqd = nsqd
        self.store = store
        client = FakeClient(on: loop)
        var logger = Logger(label: "stage")
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
        settings.retrySeed = 1
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
            store: store, clients: [Client("stage", sink: client)] + others, settings: settings,
            logger: logger)
        client.onCall = { [unowned self] in note(.called($0.counts)) }
        processor.observer.received = { [unowned self] play, _ in note(.received(play.videoID)) }
        processor.observer.repeated = { [unowned self] play, _ in note(.repeated(play.videoID)) }
        processor.observer.rejected = { [unowned self] in note(.rejected($0)) }
        processor.observer.committed = { [unowned self] changes, _ in
            note(.committed(changes.map { PlayCount(of: $0.videoID, $0.count) }))
        }
        processor.observer.finished = { [unowned self] count, _ in note(.finished(count)) }
        processor.onFailure = { [unowned self] in note(.failed($0.kind)) }
    }

    func start() {
        producer.start()
        processor.start()
    }

    /// Publishes all of them as one batch, or as messages each on its own.
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

    private func note(_ event: Event) {
        events.append(event)
        onEvent(event)
    }
}

/// A client that takes calls, refuses them, or does not answer.
final class FakeClient: Sink {
    enum Mood { case takes, refuses, isSilent }

    var mood = Mood.takes
    var onCall: (Call) -> Void = { _ in }
    /// What it took, in order.
    private(set) var taken: [PlayCount] = []
    private(set) var refusals: [Instant] = []
    private let loop: Loop

    init(on loop: Loop) {
        self.loop = loop
    }

    func send(_ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void) {
        switch mood {
        case .takes:
            taken += call.counts
            onCall(call)
            answer(.success(()))
        case .refuses:
            refusals.append(loop.instant)
            answer(.failure(.unreachable("it refuses")))
        case .isSilent: onCall(call)
        }
    }

    /// The last total of each video.
    var totals: [VideoID: Int] {
        taken.reduce(into: [:]) { $0[$1.videoID] = $1.count }
    }
}

let plays = TopicName("plays")!

/// The message that stands for a play of the video.
func play(_ index: Int) -> String { "{\"video_id\":\"\(video(index))\"}" }

/// The same with a name of its own.
func play(_ index: Int, named name: String) -> String {
    "{\"video_id\":\"\(video(index))\",\"play_id\":\"\(name)\"}"
}

/// Runs a scene on a loop of its own, until the scene stops the loop.
func onLoop(
    within limit: Duration = .seconds(10), _ location: SourceLocation = #_sourceLocation,
    _ scene: @escaping (Loop) throws -> Void
) throws {
    let loop = try Loop()
    let beginning = Timer(on: loop)
    beginning.start(after: .zero) {
        #expect(throws: Never.self, sourceLocation: location) { try scene(loop) }
    }
    let guardian = Timer(on: loop)
    guardian.start(after: limit) {
        Issue.record("the scene did not end within \(limit)", sourceLocation: location)
        loop.stop()
    }
    loop.run()
    loop.close()
}

/// Runs a scene with a processor at an embedded broker, the one given or one of its own, until the
/// scene stops the loop.
@discardableResult
func onStage(
    broker given: EmbeddedBroker? = nil, store: PlayStore? = nil, rejects: SocketAddress? = nil,
    second: SocketAddress? = nil, others: OtherClients = OtherClients { _ in [] },
    _ location: SourceLocation = #_sourceLocation,
    settings change: @escaping (inout PlayProcessor.Settings) -> Void = { _ in },
    _ scene: @escaping (ProcessorStage) throws -> Void
) async throws -> LeftAtNSQ {
    let broker = if let given { given } else { try await startBroker() }
    let store = try store ?? PlayStore(.memory)
    var stage: ProcessorStage?
    try onLoop(within: .seconds(10), location) { loop in
        let address = try SocketAddress(parsing: broker.tcpAddress)
        stage = try ProcessorStage(
            on: loop, nsqd: address, store: store, rejects: rejects, others: others.make(loop),
            second: second, change)
        try scene(stage!)
    }
    stage = nil
    let left = LeftAtNSQ(await broker.statistics())
    if given == nil { await broker.stop() }
    return left
}

/// Clients beside the stage's own.
struct OtherClients {
    let make: (Loop) -> [Client]
}

/// A broker that keeps its log to itself.
func startBroker(
    messageTimeout: Duration = .seconds(60), maxMessageBytes: Int = Limits.messageBytes
) async throws -> EmbeddedBroker {
    var configuration = EmbeddedBroker.Configuration()
    configuration.messageTimeout = messageTimeout
    configuration.maxMessageBytes = maxMessageBytes
    configuration.logger.logLevel = .critical
    return try await EmbeddedBroker.start(configuration)
}

/// What is not finished in the channel that a processor had.
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
