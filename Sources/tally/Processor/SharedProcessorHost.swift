import Logging
import NSQClient
import PlayCounts
import PostgreSQL
import UVLoop

/// A processor with a shared store on a thread of its own.
final class SharedProcessorHost: Sendable {
    private let host: LoopHost<SharedProcessorRun>
    private let failure: FirstFailure
    private let firstConnection: FirstConnection

    /// Starts to open the store. The processor starts once it is open.
    ///
    /// - Parameter sources: the nsqds and nsqlookupds, for the log.
    static func start(
        _ input: PlayInput, from sources: String, database: PostgreSQLConfiguration,
        targets: PublishTargets, settings: PlayProcessor.Settings
    ) async throws -> SharedProcessorHost {
        let failure = FirstFailure()
        let first = FirstConnection(to: input.nsqds, isDiscovering: !input.lookupds.isEmpty)
        let (host, _) = try await LoopHost.start(threadName: "processor") { loop in
            (
                SharedProcessorRun(
                    input, store: SharedStore(database, on: loop, settings: settings),
                    clients: try targets.clients(on: loop, input.logger)), ()
            )
        }
        let names = targets.targets.map(\.name)
        host.submit { run in run?.open(names, failure, first, from: sources) }
        // If no nsqd can be reached at the start, the command fails with a usage error.
        Task {
            do { try await first.wait() } catch { failure.record(error) }
        }
        return SharedProcessorHost(on: host, failure: failure, firstConnection: first)
    }

    private init(
        on host: LoopHost<SharedProcessorRun>, failure: FirstFailure,
        firstConnection: FirstConnection
    ) {
        self.host = host
        self.failure = failure
        self.firstConnection = firstConnection
    }

    /// Runs until a signal arrives, and then commits, publishes and finishes the received plays. A
    /// signal also ends the wait for a database that does not respond.
    ///
    /// - Throws: `UsageError` if the store cannot be opened, or the processor has failed.
    func run(until signals: StopSignals, logger: Logger) async throws {
        let event = await failure.firstEvent(signals)
        if case .signal(let name) = event {
            logger.info("\(name): committing and publishing received plays")
        }
        await host.stop()
        firstConnection.cancel()
        if let error = failure.error { throw UsageError(connecting: error) }
    }
}

/// The processor and its store on one loop.
private final class SharedProcessorRun: LoopHosted {
    private let input: PlayInput
    private let loop: Loop
    private let store: SharedStore
    private let clients: [Client]
    private var processor: SharedPlayProcessor?

    init(_ input: PlayInput, store: SharedStore, clients: [Client]) {
        self.input = input
        self.store = store
        self.clients = clients
        loop = store.loop
    }

    /// Opens the store, and starts the processor.
    func open(
        _ names: [String], _ failure: FirstFailure, _ first: FirstConnection, from sources: String
    ) {
        store.open(clients: names) { [self] result in
            do {
                let (identity, numbers) = try result.get()
                try start(identity, numbers, failure, first)
                input.logger.info("counting \(input.topic) from \(sources) into \(store.name)")
            } catch {
                failure.record(error)
            }
        }
    }

    private func start(
        _ identity: SharedStore.Identity, _ numbers: [ClientNumber], _ failure: FirstFailure,
        _ first: FirstConnection
    ) throws {
        let consumer = input.consumer(on: loop, storeID: identity.storeID)
        consumer.onConnection = { first.record($1, from: $0) }
        consumer.onPoll = { first.recordPoll($0, failures: $1) }
        let processor = SharedPlayProcessor(
            on: loop, consumer: consumer, rejects: try input.rejects(of: consumer, on: loop),
            store: store, identity: identity,
            clients: zip(clients, numbers).map { (client: $0, number: $1) }, logger: input.logger)
        processor.onFailure = failure.record
        let poller = input.statisticsPoller(on: loop, storeID: identity.storeID)
        poller.start()
        processor.onEnd = poller.close
        processor.start()
        self.processor = processor
    }

    func stop(_ done: @escaping () -> Void) {
        if let processor { return processor.stop(done) }
        for client in clients { client.sink.close() }
        store.close()
        done()
    }
}
