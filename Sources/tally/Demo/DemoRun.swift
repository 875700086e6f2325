import LivePage
import NSQWire
import PlayCounts
import UVLoop

/// One run of the demo: producer and processor on a thread each, and the logs of what was sent and
/// of what the client was told, from which the verdict is drawn.
struct DemoRun {
    var plays: PlayGenerator
    var nsqd: SocketAddress
    var topic: TopicName
    var store: PlayStore
    /// Plays a second; 0 is as fast as they are taken.
    var rate: Double
    /// `embedded`, or the address of the broker.
    var broker: String
    var progress: Progress
    /// What shows the run as it goes, if anything does.
    var page: LivePage?
    /// How long immediate plays may wait for others.
    var coalesce: Duration
    /// What the store held before, and what the client knew of it.
    private let countsBefore: [PlayStore.StoredCount]

    /// What the store knows its client by.
    static let client = "demo"

    init(
        plays: PlayGenerator, nsqd: SocketAddress, topic: TopicName, store: PlayStore, rate: Double,
        broker: String, progress: Progress, coalesce: Duration
    ) throws(StoreError) {
        self.plays = plays
        self.nsqd = nsqd
        self.topic = topic
        self.store = store
        self.rate = rate
        self.broker = broker
        self.progress = progress
        self.coalesce = coalesce
        _ = try store.serve([Self.client])
        countsBefore = try store.load()
    }

    enum Outcome {
        case finished(Verdict)
        case failed(any Error)
        case interrupted(String)
    }

    /// What the two threads and the signals have to tell.
    enum Event: Sendable {
        case produced(Production)
        case processed(Processing)
        case failed(any Error)
        case interrupted(String)
    }

    /// Runs until all plays are counted, or something fails, or a signal comes.
    func outcome(unless signals: StopSignals) async throws -> Outcome {
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        let threads = [
            try start(Processing.run, "processor", continuation),
            // It is the load, and must not take the time of those that bear it.
            try start(Production.run, "producer", niceness: 10, continuation),
        ]
        let watch = Task {
            if let name = await signals.next() { continuation.yield(.interrupted(name)) }
        }
        let ending = await ending(of: events)
        watch.cancel()
        for thread in threads {
            thread.stop()
            thread.join()
        }
        // Not before: with many videos, what the verdict needs and what the processor had are a lot.
        return switch ending {
        case .complete(let production, let processing):
            .finished(verdict(production, processing))
        case .failed(let error): .failed(error)
        case .interrupted(let signal): .interrupted(signal)
        }
    }

    private func start(
        _ part: @escaping @Sendable (DemoRun, Loop, @escaping (Event) -> Void) throws -> Void,
        _ name: String, niceness: Int32 = 0,
        _ continuation: AsyncStream<Event>.Continuation
    ) throws -> LoopThread {
        let thread = try LoopThread(name: name, niceness: niceness)
        thread.door.submit { loop in
            do {
                try part(self, loop) { continuation.yield($0) }
            } catch {
                continuation.yield(.failed(error))
            }
        }
        return thread
    }

    private enum Ending {
        case complete(Production, Processing)
        case failed(any Error)
        case interrupted(String)
    }

    private func ending(of events: AsyncStream<Event>) async -> Ending {
        var production: Production?
        var processing: Processing?
        for await event in events {
            switch event {
            case .produced(let part): production = part
            case .processed(let part): processing = part
            case .failed(let error): return .failed(error)
            case .interrupted(let signal): return .interrupted(signal)
            }
            if let production, let processing {
                return .complete(production, processing)
            }
        }
        return .interrupted("stopped")
    }

    private func verdict(
        _ production: Production, _ processing: Processing
    ) -> Verdict {
        var bounds = Verdict.Bounds()
        bounds.coalesce = coalesce
        return Verdict(
            produced: PlayLog(of: plays, at: production.sent), received: processing.received,
            calls: processing.calls,
            of: Verdict.Run(
                plannerCalls: processing.plannerCalls, rejected: processing.rejected,
                duration: processing.lastFinished - (production.sent.first ?? .start),
                broker: broker,
                countsBefore: countsBefore), bounds: bounds)
    }

    /// What earlier runs have left unpublished, which is due at once.
    func leftOver(at now: Instant) -> [CountChange] {
        countsBefore.filter { $0.count != $0.published }.map {
            CountChange(videoID: $0.videoID, count: $0.count, arrival: now, isImmediate: true)
        }
    }
}
