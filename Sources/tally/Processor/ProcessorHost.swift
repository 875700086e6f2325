import LivePage
import Logging
import NSQClient
import PlayCounts
import UVLoop

/// A running processor on a thread of its own.
final class ProcessorHost: Sendable {
    private let host: LoopHost<PlayProcessor>
    private let store: PlayStore
    private let failure: FirstFailure
    private let firstConnection: FirstConnection

    /// Starts a processor.
    ///
    /// - Parameters:
    ///   - page: the page that shows the calls; `nil` if there is none.
    ///   - makeClients: creates the clients that receive the counts, on the processor's loop.
    /// - Throws: `UsageError` or an error of the store.
    static func start(
        _ pipeline: ProcessorPipeline, shownBy page: LivePage? = nil,
        makeClients: @escaping @Sendable (Loop) throws -> [Client]
    ) async throws -> ProcessorHost {
        if let warning = pipeline.store.lostHistory {
            pipeline.logger.warning("\(warning)")
        } else if pipeline.store.isNew {
            let warning =
                "totals begin at 0, and clients that received higher totals from another store "
                + "will receive lower ones"
            pipeline.logger.info("created store '\(pipeline.store.path)': \(warning)")
        }
        let failure = FirstFailure()
        let first = FirstConnection(
            to: pipeline.nsqds, isDiscovering: !pipeline.lookupds.isEmpty)
        let (host, _) = try await LoopHost.start(threadName: "processor") { loop in
            let shown = page.map { [$0.client(on: loop)] } ?? []
            let (processor, consumer) = try pipeline.build(
                on: loop, clients: makeClients(loop) + shown)
            processor.onFailure = failure.record
            consumer.onConnection = { first.record($1, from: $0) }
            consumer.onPoll = { first.recordPoll($0, failures: $1) }
            page?.observe(processor)
            processor.start()
            return (processor, ())
        }
        // If no nsqd can be reached at the start, the command fails with a usage error. If a
        // connection is lost later, the consumer reconnects.
        Task {
            do { try await first.wait() } catch { failure.record(error) }
        }
        return ProcessorHost(
            on: host, store: pipeline.store, failure: failure, firstConnection: first)
    }

    private init(
        on host: LoopHost<PlayProcessor>, store: PlayStore, failure: FirstFailure,
        firstConnection: FirstConnection
    ) {
        self.host = host
        self.store = store
        self.failure = failure
        self.firstConnection = firstConnection
    }

    /// Commits, publishes and finishes the received plays, stops the processor, and closes the
    /// store.
    ///
    /// - Throws: the first error of the processor or the store.
    func stop() async throws {
        await host.stop()
        firstConnection.cancel()
        try store.close()
        if let error = failure.error { throw error }
    }

    /// Ends the thread without a clean stop. nsqd redelivers the unfinished messages. If the
    /// processor has created the store and counted nothing, the store is removed.
    func kill() async throws {
        await host.kill()
        firstConnection.cancel()
        try store.abandon()
    }
}

extension PlayProcessor: LoopHosted {}

extension ProcessorHost {
    /// Runs until a signal arrives, and then stops as ``stop()`` does.
    ///
    /// - Parameter outlivesStore: `true` to wait for a signal even after a permanent failure of the
    ///   store, because a broker runs in the same process.
    /// - Throws: the error that stopped the processor.
    func run(
        until signals: StopSignals, outlivesStore: Bool = false, logger: Logger
    ) async throws {
        let event = await failure.firstEvent(signals) { error in
            guard outlivesStore, error is StoreError else { return false }
            logger.critical(
                "counting has stopped: \(error); the broker runs until SIGINT or SIGTERM")
            return true
        }
        switch event {
        case .failure(let error):
            try? await kill()
            throw UsageError(connecting: error)
        case .signal(let name):
            logger.info("\(name): committing and publishing received plays")
            do {
                try await stop()
            } catch {
                throw UsageError(connecting: error)
            }
        }
    }
}
