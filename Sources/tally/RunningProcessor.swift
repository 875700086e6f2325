import Glibc
import LivePage
import Logging
import NSQClient
import PlayCounts
import UVLoop

/// A processor at work on a thread of its own, until it is stopped or cannot go on.
final class RunningProcessor: Sendable {
    private let thread: LoopThread
    private let processor: LoopBound<PlayProcessor>
    private let store: PlayStore
    private let failure: Failure

    /// Starts it. What it publishes goes to the clients that `makeClients` makes on its thread.
    ///
    /// - Throws: what cannot be put together, or `NSQError` if no nsqd can be reached.
    static func start(
        _ assembly: ProcessorAssembly, shownBy page: LivePage? = nil,
        makeClients: @escaping @Sendable (Loop) throws -> [Client]
    ) async throws -> RunningProcessor {
        let thread = try LoopThread(name: "processor")
        let failure = Failure()
        do {
            let processor = try await withCheckedThrowingContinuation { continuation in
                thread.door.submit { loop in
                    continuation.resume(
                        with: Result {
                            let shown = page.map { [$0.client(on: loop)] } ?? []
                            let (processor, consumer) = try assembly.build(
                                on: loop, clients: makeClients(loop) + shown)
                            processor.onFailure = failure.note
                            consumer.onConnection =
                                FirstConnections(assembly.nsqds, onFailure: failure.note).hear
                            page?.watch(processor)
                            processor.start()
                            return LoopBound(processor, on: loop)
                        })
                }
            }
            return RunningProcessor(
                thread: thread, processor: processor, store: assembly.store, failure: failure)
        } catch {
            thread.stop()
            thread.join()
            throw error
        }
    }

    private init(
        thread: LoopThread, processor: LoopBound<PlayProcessor>, store: PlayStore,
        failure: Failure
    ) {
        self.thread = thread
        self.processor = processor
        self.store = store
        self.failure = failure
    }

    /// Commits, publishes and finishes what is here, and closes the store.
    ///
    /// - Throws: what kept it from that.
    func stop() async throws {
        await withCheckedContinuation { continuation in
            let isOpen = thread.door.submit { [processor] loop in
                guard let processor = processor.takeOut(on: loop) else {
                    return continuation.resume()
                }
                processor.stop {
                    withExtendedLifetime(processor) {}
                    continuation.resume()
                }
            }
            if !isOpen { continuation.resume() }
        }
        try abandon()
        if let error = failure.first { throw error }
    }

    /// Ends the thread as it stands: what is not finished stays with NSQ.
    func abandon() throws {
        thread.stop()
        thread.join()
        try store.close()
    }
}

/// Why a processor cannot go on: the first reason, for whoever asks and whoever waits.
private final class Failure: Sendable {
    private let noted = Guarded<(any Error)?>(nil)
    private let stream: AsyncStream<any Error>
    private let waiting: AsyncStream<any Error>.Continuation

    init() {
        (stream, waiting) = AsyncStream.makeStream()
    }

    var first: (any Error)? { noted.withLock { $0 } }

    func note(_ error: any Error) {
        noted.withLock { $0 = $0 ?? error }
        waiting.yield(error)
    }

    /// Waits for it; `nil` if the task is cancelled.
    func next() async -> (any Error)? {
        for await error in stream { return error }
        return nil
    }
}

/// Hears of connections: that no nsqd could be reached at all is a mistake of whoever started us,
/// that one is lost later is not.
private final class FirstConnections {
    private var left: Set<SocketAddress>
    private var isOver = false
    private let onFailure: (any Error) -> Void

    init(_ nsqds: [SocketAddress], onFailure: @escaping (any Error) -> Void) {
        left = Set(nsqds)
        self.onFailure = onFailure
    }

    func hear(_ address: SocketAddress, _ error: NSQError?) {
        guard !isOver else { return }
        guard let error else {
            isOver = true
            return
        }
        // One that fails twice while another is still being tried is one failure.
        left.remove(address)
        guard left.isEmpty else { return }
        isOver = true
        onFailure(error)
    }
}

extension RunningProcessor {
    /// Works until a signal comes, then stops in good order; a second signal ends it as it stands.
    ///
    /// - Throws: why it cannot go on.
    func run(until signals: StopSignals, logger: Logger) async throws {
        switch await firstEvent(signals) {
        case .failure(let error):
            try? abandon()
            throw UsageError(reaching: error)
        case .signal(let name):
            logger.info("\(name): committing and publishing what is here")
            let second = Task {
                _ = await signals.next()
                guard !Task.isCancelled else { return }
                logger.warning("stopped at once: what is not finished stays with NSQ")
                exit(1)
            }
            defer { second.cancel() }
            do {
                try await stop()
            } catch {
                throw UsageError(reaching: error)
            }
        }
        signals.stop()
    }

    private enum Event {
        case signal(String)
        case failure(any Error)
    }

    private func firstEvent(_ signals: StopSignals) async -> Event {
        await withTaskGroup(of: Event?.self) { group in
            group.addTask { await signals.next().map { .signal($0) } }
            group.addTask { [failure] in await failure.next().map { .failure($0) } }
            defer { group.cancelAll() }
            while let event = await group.next() {
                if let event { return event }
            }
            return .signal("stop")
        }
    }
}
