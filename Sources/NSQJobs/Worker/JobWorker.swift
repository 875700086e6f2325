import Glibc
import Logging
import NSQClient
import TallyBasics
import UVLoop

/// Performs jobs of chosen queues.
///
/// ```swift
/// let worker = jobs.worker(queues: ["mail"], concurrency: 8) { $0.register(SendReport.self) }
/// try await worker.run()
/// ```
///
/// A message of NSQ wakes the worker, which claims the job in the store. From then on, the lease in the
/// store protects the job. The worker renews the leases of running jobs. If it cannot renew a lease before
/// its end, it cancels the job's task, because another worker may claim the job.
///
/// The worker keeps the message of a short job in flight until the job has ended, up to
/// ``Options/messageHold``. If its process is killed, its connection breaks, and nsqd delivers the
/// message to another worker at once. That worker takes over the jobs of the killed one, because the
/// system shows that its process has ended. If only the connection has broken, the process keeps its
/// jobs as long as it renews their leases.
public final class JobWorker: Sendable {
    /// Settings of a worker.
    public struct Options: Sendable {
        /// The queues from which the worker takes jobs: 1 to 100; `default` by default.
        public var queues: [String]
        /// The maximum number of jobs that run at the same time: 1 to 10,000, 1 by default.
        public var concurrency: Int
        /// The order of jobs of several priority classes; strict by default.
        public var priorityOrder: PriorityOrder
        /// The duration of a lease: 100 ms to 1 h, 30 s by default. If it is not certain that a worker
        /// has ended, its jobs are available again only after that time.
        public var lease: Duration
        /// The maximum time for which the message of a running job is kept in flight: 0 to 10 min, 30 s
        /// by default. The worker restarts the message's timeout meanwhile (`TOUCH`), up to nsqd's
        /// `--max-msg-timeout`. With 0, and for jobs of a few milliseconds, each message is finished
        /// right after the claim.
        public var messageHold: Duration
        /// The time for which child processes of the worker, or other work that it has started, can
        /// outlive the worker's process: 0 to 1 min, 0 by default. The jobs of a worker that was killed
        /// are available again after that time.
        public var gracePeriod: Duration
        /// The maximum time for which ``JobWorker/stop()`` waits for running jobs before it cancels their
        /// tasks; 30 s by default.
        public var stopTimeout: Duration
        /// The maximum time from the request to cancel a running job to the cancellation of its task:
        /// 10 ms to 1 min, 500 ms by default.
        public var cancellationInterval: Duration
        /// The time after which a job for which the worker has no handler is available again; 10 s
        /// by default.
        public var unhandledDelay: Duration
        /// `true` if ``JobGrade/fleeting`` jobs that are discarded are stored, in the state
        /// `discarded`; `false` by default.
        public var storesDiscardedFleetingJobs = false
        /// The name of the worker in the store; by default the host and the process ID.
        public var name: String
        /// The HTTP addresses of nsqlookupds, such as `127.0.0.1:4161`; none by default. The worker also
        /// takes jobs from all nsqds that they report for its queues.
        public var lookupds: [String] = []
        /// Options of the discovery by nsqlookupd.
        public var lookup = LookupOptions()
        /// The options of the connections to the nsqds.
        public var client = ClientOptions()
        /// The clock of the worker's leases; tests of this package replace it.
        package var leaseClock = LeaseClock.system

        /// Creates options with the default values.
        public init(queues: [String] = ["default"], concurrency: Int = 1) {
            self.queues = queues
            self.concurrency = concurrency
            priorityOrder = .strict
            lease = .seconds(30)
            messageHold = .seconds(30)
            gracePeriod = .zero
            stopTimeout = .seconds(30)
            cancellationInterval = .milliseconds(500)
            unhandledDelay = .seconds(10)
            name = WorkerName.ofProcess
        }

        /// - Throws: ``JobsError/Code/invalidOption`` or ``JobsError/Code/invalidName``.
        func validate() throws(JobsError) {
            func check(_ isValid: Bool, _ text: String) throws(JobsError) {
                if !isValid { throw JobsError(.invalidOption, text) }
            }
            try check((1...100).contains(queues.count), "a worker must have 1 to 100 queues")
            for queue in queues { try JobNames.check(queue: queue) }
            try priorityOrder.validate()
            try check(
                (1...10_000).contains(concurrency),
                "the concurrency of a worker must be 1 to 10000, not \(concurrency)")
            try check(
                (.milliseconds(100)...(.seconds(3600))).contains(lease),
                "the lease of a worker must be 100 ms to 1 h, not \(lease)")
            try check(
                (.zero...(.seconds(600))).contains(messageHold),
                "the hold of messages must be 0 to 10 min, not \(messageHold)")
            try check(
                (.zero...(.seconds(60))).contains(gracePeriod),
                "the grace period of a worker must be 0 to 1 min, not \(gracePeriod)")
            try check(
                (.milliseconds(10)...(.seconds(60))).contains(cancellationInterval),
                "the cancellation interval must be 10 ms to 1 min, not \(cancellationInterval)")
            try check(
                stopTimeout >= .zero && unhandledDelay >= .zero,
                "the delays of a worker must not be negative")
        }
    }

    private let session: WorkerSession

    init(_ session: WorkerSession) {
        self.session = session
    }

    /// Takes and performs jobs until ``stop()``, or until the task is cancelled. Call it once.
    ///
    /// When the task is cancelled, the tasks of running jobs are cancelled at once. Jobs that then throw are
    /// available again for other workers, and the attempt does not count.
    ///
    /// - Throws: ``JobsError/Code/invalidOption`` or ``JobsError/Code/invalidName``;
    ///   ``JobsError/Code/storeFailed`` or ``JobsError/Code/brokerFailed`` if the worker cannot start;
    ///   ``JobsError/Code/cancelled`` if the task is cancelled.
    public func run() async throws(JobsError) {
        try await session.runUntilShutdown()
    }

    /// Takes and performs jobs as ``run()`` does.
    ///
    /// - Parameter onStart: is called once, when the worker is registered in the store and its
    ///   consumers are created.
    package func run(onStart: @Sendable () -> Void) async throws(JobsError) {
        try await session.run(onStart: onStart)
    }

    /// Stops the worker: it takes no more jobs, waits for the running ones up to
    /// ``Options/stopTimeout``, and then cancels their tasks. Jobs that have not ended are available again
    /// for other workers, and the attempt does not count. ``run()`` then returns.
    public func stop() {
        session.stop()
    }
}

enum WorkerName {
    /// The host and the process ID, such as `web1:4711`.
    static var ofProcess: String {
        var bytes = [CChar](repeating: 0, count: 256)
        let status = gethostname(&bytes, bytes.count - 1)
        let name = bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let host = status == 0 ? String(decoding: name, as: UTF8.self) : "localhost"
        return "\(host):\(getpid())"
    }
}
