import LivePage
import NSQClient
import NSQWire
import PlayCounts
import TallyBasics
import UVLoop

/// One run of the demo. The producer and the processor run on one thread each. The verdict compares
/// the log of sent plays with the log of the client's calls.
struct DemoRun {
    var plays: PlayGenerator
    var nsqds: [SocketAddress]
    /// The options of the connections to the nsqds.
    var client = ClientOptions()
    var topic: TopicName
    var store: PlayStore
    /// The number of plays per second; 0 means as fast as possible.
    var rate: Double
    /// `embedded`, or the addresses of the nsqds.
    var broker: String
    var progress: Progress
    /// The page that shows the run, if there is one.
    var page: LivePage?
    /// The time that an immediate play may wait for others to share its call.
    var coalesce: Duration
    /// The maximum time without progress, after which the run ends with the verdict `fail`.
    var maxStandstill = Duration.seconds(30)
    /// The counters by which a standstill is detected.
    let counters = DemoCounters()
    /// The counts in the store before the run, with the totals that were already published.
    private let countsBefore: [PlayStore.StoredCount]

    /// The name of the demo's client in the store.
    static let clientName = "demo"

    init(
        plays: PlayGenerator, nsqds: [SocketAddress], topic: TopicName, store: PlayStore,
        rate: Double, broker: String, progress: Progress, coalesce: Duration
    ) throws(StoreError) {
        self.plays = plays
        self.nsqds = nsqds
        self.topic = topic
        self.store = store
        self.rate = rate
        self.broker = broker
        self.progress = progress
        self.coalesce = coalesce
        _ = try store.registerClients([Self.clientName])
        countsBefore = try store.loadCounts()
    }

    enum Outcome {
        case finished(Verdict)
        case failed(any Error)
        case interrupted(String)
    }

    /// The events that a run waits for: those of the two threads, signals, and a standstill.
    enum Event: Sendable {
        case subscribed
        case produced(DemoProducer)
        case processed(DemoProcessing)
        case failed(any Error)
        case interrupted(String)
        case standstill(String)
    }

    /// Runs until all plays are counted, the producer or the processor fails, a signal arrives, or
    /// there is no progress.
    ///
    /// - Parameter interruption: returns the name of the first signal, or `nil` if there is none.
    func run(until interruption: Task<String?, Never>) async throws -> Outcome {
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        let processor = try DemoThread(named: "processor")
        processor.start(DemoProcessing.run, of: self, continuation)
        // The producer is only a load generator, so it has a lower priority than the processor and
        // the broker.
        let producer = try DemoThread(named: "producer", niceness: 10)
        let watches = [
            Task {
                if let name = await interruption.value { continuation.yield(.interrupted(name)) }
            },
            Task {
                guard let reason = await counters.standstill(after: maxStandstill) else { return }
                continuation.yield(.standstill(reason))
                for thread in [processor, producer] { thread.reportLogs() }
            },
        ]
        let ending = await ending(of: events) {
            // The processor's channel must exist before the plays are sent. Otherwise, if the topic
            // has another channel already, plays are dispatched only to that channel.
            producer.start(DemoProducer.run, of: self, continuation)
        }
        for watch in watches { watch.cancel() }
        for thread in [processor, producer] { await thread.stop() }
        // The verdict is computed after the threads have ended and freed their memory. With many
        // videos, both the processor and the verdict need much memory.
        return switch ending {
        case .complete(let production, let processing, let standstill):
            .finished(verdict(production, processing, standstill))
        case .failed(let error): .failed(error)
        case .interrupted(let signal): .interrupted(signal)
        }
    }

    private enum Ending {
        case complete(DemoProducer, DemoProcessing, standstill: String?)
        case failed(any Error)
        case interrupted(String)
    }

    private func ending(
        of events: AsyncStream<Event>, produce: () -> Void
    ) async -> Ending {
        var production: DemoProducer?
        var processing: DemoProcessing?
        var standstill: String?
        var isProducing = false
        for await event in events {
            switch event {
            case .subscribed:
                if !isProducing { produce() }
                isProducing = true
            case .produced(let part): production = part
            case .processed(let part): processing = part
            case .standstill(let reason):
                standstill = reason
                if !isProducing { production = DemoProducer(sent: []) }
            case .failed(let error): return .failed(error)
            case .interrupted(let signal): return .interrupted(signal)
            }
            if let production, let processing {
                return .complete(production, processing, standstill: standstill)
            }
        }
        return .interrupted("stopped")
    }

    private func verdict(
        _ production: DemoProducer, _ processing: DemoProcessing, _ standstill: String?
    ) -> Verdict {
        var bounds = Verdict.Bounds()
        bounds.coalesce = coalesce
        return Verdict(
            produced: PlayLog(of: plays, at: production.sent), received: processing.received,
            batches: processing.batches, calls: processing.calls,
            of: Verdict.Run(
                minimumCalls: processing.minimumCalls, rejected: processing.rejected,
                duration: max(
                    .zero,
                    processing.lastFinished - (production.sent.first ?? processing.lastFinished)),
                broker: broker, countsBefore: countsBefore,
                schedulingDelay: processing.schedulingDelay, standstill: standstill),
            bounds: bounds)
    }

    /// Returns the counts that earlier runs left unpublished. They must be published at once.
    func unpublishedCounts(at now: MonotonicInstant) -> [CountChange] {
        countsBefore.filter { $0.count != $0.published }.map {
            CountChange(videoID: $0.videoID, count: $0.count, arrival: now, isImmediate: true)
        }
    }
}
