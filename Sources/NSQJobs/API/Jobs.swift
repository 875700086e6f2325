import Foundation
import GRDB
import Logging
import NSQClient
import UVLoop

/// Background jobs: stored in a database, published over NSQ, and performed by workers in any process.
///
/// ```swift
/// let jobs = try await Jobs(store: .sqlite("jobs.sqlite"), nsqd: "127.0.0.1:4150")
/// try await jobs.enqueue(SendReport(user: 7), after: .seconds(60))
/// let worker = jobs.worker(queues: ["mail"], concurrency: 8) { $0.register(SendReport.self) }
/// try await worker.run()
/// ```
///
/// The row of a job in the store is authoritative. NSQ only wakes workers: a job whose message NSQ
/// loses is published again from the store, and a repeated message has no effect. Every committed
/// job therefore ends eventually, and a job does not run twice at the same time while its worker
/// renews the lease.
///
/// A `Jobs` object publishes the jobs that it stores. It also sweeps the store for due jobs, for
/// jobs whose worker was lost, and for jobs that other processes have stored. Stop it with
/// ``stop()``.
public final class Jobs: Sendable {
    /// Settings of a `Jobs` object.
    public struct Configuration: Sendable {
        /// The time between two sweeps of the store: 10 ms to 1 min, 1 s by default. Jobs that this
        /// process stores, and jobs that become due, do not wait for this interval.
        public var sweepInterval = Duration.seconds(1)
        /// The time after which a published job that no worker has claimed is published again: 100 ms
        /// to 1 h, 15 s by default. It doubles with each further publish, up to an hour.
        public var republishDelay = Duration.seconds(15)
        /// The maximum number of jobs of one queue and priority that are published and not claimed: 1
        /// to 100,000, 5,000 by default. Further jobs wait in the store, so NSQ holds a bounded number
        /// of messages.
        public var publishWindow = 5_000
        /// The rules by which ended jobs are deleted.
        public var pruning = JobPruning()
        /// Options of the producer.
        public var producer = Producer.Options()
        /// Middleware that runs around each enqueue and each attempt, the outermost first. By default,
        /// metrics and spans, if the package traits `MetricsSupport` and `DistributedTracingSupport`
        /// are on.
        public var middleware = Self.instruments
        /// `true` if the nsqd has just been started without messages, so that all jobs that were published
        /// before must be published again at once; `false` by default.
        package var nsqdStartsEmpty = false
        /// Encrypts arguments; see the trait `EncryptionSupport`.
        package var cipher: (any JobCipher)?
        /// Logs warnings, and when connections begin and end.
        public var logger = Logger(label: "nsq.jobs")

        /// Creates a configuration with the default values.
        public init() {}

        private static var instruments: [any JobMiddleware] {
            var middleware: [any JobMiddleware] = []
            #if MetricsSupport
                middleware.append(JobMetrics())
            #endif
            #if DistributedTracingSupport
                middleware.append(JobTracing())
            #endif
            return middleware
        }

        /// - Throws: ``JobsError/Code/invalidOption``.
        func validate() throws(JobsError) {
            func check(_ isValid: Bool, _ text: String) throws(JobsError) {
                if !isValid { throw JobsError(.invalidOption, text) }
            }
            try check(
                (.milliseconds(10)...(.seconds(60))).contains(sweepInterval),
                "the sweep interval must be 10 ms to 1 min, not \(sweepInterval)")
            try check(
                (.milliseconds(100)...(.seconds(3600))).contains(republishDelay),
                "the republish delay must be 100 ms to 1 h, not \(republishDelay)")
            try check(
                (1...100_000).contains(publishWindow),
                "the publish window must be 1 to 100000, not \(publishWindow)")
            try pruning.validate()
        }
    }

    /// The connection to NSQ, and the objects and tasks that use it.
    struct Broker: Sendable {
        let nsqds: [String]
        let producer: Producer
        let publisher: JobPublisher
        let relay: Relay
        let policy: PublishPolicy
        let relayTask: Task<Void, Never>
        let prunerTask: Task<Void, Never>
    }

    let store: any JobStore
    /// `nil` in the test modes, and without NSQ.
    let broker: Broker?
    let clock: JobClock
    let logger: Logger
    let testing: TestMode?
    let middleware: MiddlewareChain
    private let stopNSQD: @Sendable () async -> Void
    let drainWorkerNumber = LockedValue<Int64?>(nil)

    /// Opens a store, and starts to connect to an nsqd in the background.
    ///
    /// - Parameters:
    ///   - store: where the jobs are stored.
    ///   - address: the host and port of the nsqd, such as `127.0.0.1:4150`.
    ///   - configuration: settings other than the defaults.
    /// - Throws: ``JobsError/Code/storeUnusable``, ``JobsError/Code/invalidOption``,
    ///   ``JobsError/Code/brokerFailed`` if the address is not valid.
    public convenience init(
        store: Store, nsqd address: String, configuration: Configuration = Configuration()
    ) async throws(JobsError) {
        try await self.init(store: store, nsqds: [address], configuration: configuration)
    }

    /// Opens a store, and starts to connect to several nsqds in the background. Jobs are published to the
    /// first of them that is connected, and workers consume from all of them.
    ///
    /// - Throws: the same errors as with a single nsqd.
    public convenience init(
        store: Store, nsqds addresses: [String], configuration: Configuration = Configuration()
    ) async throws(JobsError) {
        try await self.init(
            store: store, nsqds: addresses, configuration: configuration, clock: .system)
    }

    package init(
        store: Store, nsqds addresses: [String], configuration: Configuration, clock: JobClock,
        stopNSQD: @escaping @Sendable () async -> Void = {}
    ) async throws(JobsError) {
        try configuration.validate()
        let store = try await store.open()
        self.store = store
        self.clock = clock
        logger = configuration.logger
        testing = nil
        middleware = MiddlewareChain(configuration.middleware, configuration.cipher)
        self.stopNSQD = stopNSQD
        do throws(NSQError) {
            broker = try Broker(addresses, store, configuration, clock)
        } catch {
            try? await store.close()
            throw JobsError(.brokerFailed, "cannot publish to nsqd: \(error)")
        }
    }

    /// Opens a store without NSQ, to store, read and change jobs. The `Jobs` object of another process
    /// with the same store publishes the jobs, within ``Configuration/sweepInterval``.
    ///
    /// - Parameters:
    ///   - store: where the jobs are stored.
    ///   - configuration: only its middleware, encryption and logger are used.
    /// - Throws: ``JobsError/Code/storeUnusable``.
    public convenience init(
        store: Store, configuration: Configuration = Configuration()
    ) async throws(JobsError) {
        try await self.init(
            store: store, testing: nil,
            middleware: MiddlewareChain(configuration.middleware, configuration.cipher),
            clock: .system, logger: configuration.logger)
    }

    init(
        store: Store, testing: TestMode?, middleware: MiddlewareChain = MiddlewareChain([]),
        clock: JobClock, logger: Logger = Logger(label: "nsq.jobs")
    ) async throws(JobsError) {
        self.middleware = middleware
        stopNSQD = {}
        self.store = try await store.open()
        self.clock = clock
        self.testing = testing
        self.logger = logger
        broker = nil
    }

    deinit {
        broker?.relayTask.cancel()
        broker?.prunerTask.cancel()
    }

    /// Creates a worker, which performs jobs when ``JobWorker/run()`` is called.
    ///
    /// - Parameters:
    ///   - queues: the queues from which it takes jobs.
    ///   - concurrency: the maximum number of jobs that run at the same time.
    ///   - register: registers the types of jobs.
    /// - Precondition: this object was created with an nsqd.
    public func worker(
        queues: [String] = ["default"], concurrency: Int = 1,
        _ register: (inout JobHandlers) -> Void
    ) -> JobWorker {
        worker(JobWorker.Options(queues: queues, concurrency: concurrency), register)
    }

    /// Creates a worker with all options.
    ///
    /// - Precondition: this object was created with an nsqd.
    public func worker(
        _ options: JobWorker.Options, _ register: (inout JobHandlers) -> Void
    ) -> JobWorker {
        guard let broker else {
            preconditionFailure("a worker needs NSQ; call drain(_:) in a test")
        }
        var handlers = JobHandlers()
        register(&handlers)
        return JobWorker(
            WorkerSession(
                options, handlers, middleware, store: store, relay: broker.relay,
                nsqds: broker.nsqds,
                clock: clock, logger: logger))
    }

    /// Publishes the stored jobs, closes the connections, and closes the store and the nsqd that this
    /// object has opened. Stop the workers first.
    public func stop() async {
        if let broker {
            broker.relayTask.cancel()
            broker.prunerTask.cancel()
            await broker.relayTask.value
            await broker.prunerTask.value
            await broker.publisher.flush()
            await broker.producer.stop()
        }
        await stopNSQD()
        do {
            try await store.close()
        } catch {
            logger.warning("\(error)")
        }
    }
}

extension Jobs.Broker {
    init(
        _ addresses: [String], _ store: any JobStore, _ configuration: Jobs.Configuration,
        _ clock: JobClock
    ) throws(NSQError) {
        nsqds = addresses
        let logger = configuration.logger
        // The producer may connect before the relay exists, so its callback reads the relay from a
        // variable that is set later.
        let lostPublishes = LockedValue(
            LostPublishes(lostAt: configuration.nsqdStartsEmpty ? clock.now() : nil))
        let relayOfProducer = LockedValue<Relay?>(nil)
        producer = try Producer(
            nsqds: addresses, options: configuration.producer, logger: logger
        ) { change in
            let now = clock.now()
            lostPublishes.withLock { $0.record(change, at: now) }
            relayOfProducer.withLock { $0 }?.connectionChanged(change)
        }
        publisher = JobPublisher(producer, store, logger)
        let policy = PublishPolicy(
            republishDelay: configuration.republishDelay, window: configuration.publishWindow)
        self.policy = policy
        let relay = Relay(
            store, publisher, policy: policy, interval: configuration.sweepInterval,
            lostPublishes: lostPublishes, clock: clock, logger: logger)
        self.relay = relay
        relayOfProducer.withLock { $0 = relay }
        relayTask = Task { await relay.run() }
        let pruner = JobPruner(
            store: store, pruning: configuration.pruning, clock: clock, logger: logger)
        prunerTask = Task { await pruner.run() }
    }
}
