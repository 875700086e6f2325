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
    var rate: Int
    /// `embedded`, or the address of the broker.
    var broker: String
    var progress: Progress

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
        let countsBefore = try store.load().map { PlayCount(of: $0.videoID, $0.published) }
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        let threads = [
            try start(Processing.run, "processor", continuation),
            // It is the load, and must not take the time of those that bear it.
            try start(Production.run, "producer", niceness: 10, continuation),
        ]
        let watch = Task {
            if let name = await signals.next() { continuation.yield(.interrupted(name)) }
        }
        let outcome = await outcome(of: events, countsBefore)
        watch.cancel()
        for thread in threads {
            thread.stop()
            thread.join()
        }
        return outcome
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

    private func outcome(
        of events: AsyncStream<Event>, _ countsBefore: [PlayCount]
    ) async -> Outcome {
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
                return .finished(verdict(production, processing, countsBefore))
            }
        }
        return .interrupted("stopped")
    }

    private func verdict(
        _ production: Production, _ processing: Processing, _ countsBefore: [PlayCount]
    ) -> Verdict {
        Verdict(
            produced: production.sent, received: processing.received, calls: processing.calls,
            of: Verdict.Run(
                plannerCalls: processing.plannerCalls, rejected: processing.rejected,
                duration: processing.lastFinished - production.firstSent, broker: broker,
                countsBefore: countsBefore))
    }
}
