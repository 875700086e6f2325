import Logging
import NSQClient
import TallyBasics
import UVLoop

/// One run of a worker: its consumers, its claims, and the tasks of its jobs.
final class WorkerSession: Sendable {
    struct Attempt {
        let cancellation: AttemptCancellation
        let task: Task<Void, Never>
    }

    struct State {
        var queue: WorkerQueue<WorkerMessage>
        var window: ClaimWindow
        var leases: LeaseTable
        var attempts: [JobClaim: Attempt] = [:]
        var unsettled: [Settlement] = []
        var isSettling = false
        var isRenewing = false
        var held: HeldMessages<WorkerMessage>
        /// The maximum number of messages in flight of each consumer.
        var maxInFlight: [Int]
        var consumers: [Consumer] = []
        /// `false` until messages of all priorities can have arrived; see ``startTaking()``.
        var isTaking = false
        /// `true` while no messages are requested, because all slots are busy.
        var isClosed = false
        /// `true` while messages wait for those of a higher class.
        var isPostponed = false
        var number: Int64 = 0
    }

    /// Whether and how the worker must stop.
    enum Stop: Int { case no, gracefully, atOnce }

    let options: JobWorker.Options
    let store: any JobStore
    let relay: Relay
    let nsqds: [String]
    let performer: JobPerformer
    let clock: JobClock
    let logger: Logger
    let state: LockedValue<State>
    let executor = LeaseRenewalExecutor(name: "nsq.jobs.leases")
    private let stopRequest = LockedValue(Stop.no)
    private let hasStarted = LockedValue(false)
    private let stopSignal = WakeSignal()
    /// Signals that an attempt, a claim or a settlement has ended.
    let progress = WakeSignal()

    init(
        _ options: JobWorker.Options, _ handlers: JobHandlers, _ middleware: MiddlewareChain,
        store: any JobStore, relay: Relay, nsqds: [String], clock: JobClock, logger: Logger
    ) {
        self.options = options
        self.store = store
        self.relay = relay
        self.nsqds = nsqds
        self.clock = clock
        self.logger = logger
        performer = JobPerformer(
            handlers: handlers, middleware: middleware, store: store, clock: clock, logger: logger,
            unhandledDelay: options.unhandledDelay)
        let sources = options.queues.count * JobPriority.allCases.count
        state = LockedValue(
            State(
                queue: WorkerQueue(
                    concurrency: options.concurrency, order: options.priorityOrder),
                window: ClaimWindow(concurrency: options.concurrency),
                leases: LeaseTable(lease: options.lease), held: HeldMessages(sources: sources),
                maxInFlight: Array(repeating: 0, count: sources)))
    }

    func run(onStart: @Sendable () -> Void = {}) async throws(JobsError) {
        try options.validate()
        let isFirst = hasStarted.withLock { hasStarted in
            defer { hasStarted = true }
            return !hasStarted
        }
        precondition(isFirst, "a worker runs once")
        let worker = NewWorker(
            name: options.name, queues: options.queues, concurrency: options.concurrency,
            gracePeriod: options.gracePeriod)
        let start = leaseNow
        let number = try await store.registerWorker(worker, at: clock.now())
        let consumers = try makeConsumers()
        state.withLock {
            $0.number = number
            $0.consumers = consumers.map(\.consumer)
        }
        let feeders = consumers.enumerated().map { index, consumer in
            Task { await self.receive(from: consumer.consumer, index, consumer.topic) }
        }
        let maintenance = Task(executorPreference: executor) { await self.maintain(since: start) }
        let taking = Task { await self.startTaking() }
        onStart()
        await waitForStop()
        taking.cancel()
        // The shutdown is not a child task, because it must complete even if this task is
        // cancelled.
        await Task { await self.shutDown(feeders, maintenance) }.value
        if Task.isCancelled { throw JobsError(.cancelled, "the task of the worker was cancelled") }
    }

    /// The time on the clock of the leases.
    var leaseNow: MonotonicInstant { options.leaseClock.now() }

    func stop() { request(.gracefully) }

    private func request(_ stop: Stop) {
        stopRequest.withLock { if stop.rawValue > $0.rawValue { $0 = stop } }
        stopSignal.signal()
        progress.signal()
    }

    var isStopping: Bool { stopRequest.withLock { $0 != .no } }
    var isStoppingAtOnce: Bool { stopRequest.withLock { $0 == .atOnce } }

    private func waitForStop() async {
        await withTaskCancellationHandler {
            while !isStopping { await stopSignal.wait(atMost: .seconds(3600)) }
        } onCancel: {
            request(.atOnce)
        }
    }

    private func makeConsumers() throws(JobsError) -> [(consumer: Consumer, topic: JobTopic)] {
        var consumers: [(Consumer, JobTopic)] = []
        for queue in options.queues {
            for priority in JobPriority.allCases {
                var settings = Consumer.Options()
                settings.client = options.client
                settings.lookup = options.lookup
                // Until ``startTaking()``, the consumer requests no messages.
                settings.maxInFlight = 0
                // This is the shortest time that nsqd allows. A single message must not wait in
                // nsqd's buffer for others.
                settings.outputBufferTimeout = .milliseconds(25)
                let topic = JobTopic(queue: queue, priority: priority)
                do throws(NSQError) {
                    let consumer = try Consumer(
                        topic: topic.name,
                        channel: JobTopic.channel, nsqds: nsqds, lookupds: options.lookupds,
                        options: settings, logger: logger)
                    consumer.keepMessagesAlive()
                    consumers.append((consumer, topic))
                } catch {
                    throw JobsError(.brokerFailed, "cannot consume queue '\(queue)': \(error)")
                }
            }
        }
        return consumers
    }

    // MARK: Attempts

    func startAttempt(of job: JobRecord, _ state: inout State) {
        // A job that waited for a slot may have lost its lease meanwhile.
        guard let claim = job.claim, claim.id.isFleeting || state.leases.holds(claim) else {
            if let claim = job.claim { state.held.release(claim)?.finishHeld() }
            return state.queue.jobEnded()
        }
        let cancellation = AttemptCancellation()
        // The task takes the lock at its end. The caller holds the lock, so the task is recorded before
        // it ends.
        let task = Task { await self.perform(job, claim, cancellation) }
        state.attempts[claim] = Attempt(cancellation: cancellation, task: task)
    }

    private func perform(
        _ job: JobRecord, _ claim: JobClaim, _ cancellation: AttemptCancellation
    ) async {
        let begin = MonotonicInstant.now
        let timer = job.timeout.map { timeout in
            Task {
                try await Task.sleep(for: timeout)
                cancel([claim], .timeout(timeout))
            }
        }
        let outcome = await performer.perform(job, cancellation)
        timer?.cancel()
        let message = state.withLock { state -> WorkerMessage? in
            state.attempts[claim] = nil
            state.window.attemptEnded(after: .now - begin)
            state.queue.jobEnded()
            guard let outcome, !claim.id.isFleeting else {
                state.leases.remove(claim)
                return state.held.release(claim)
            }
            state.unsettled.append(Settlement(claim, outcome))
            return nil
        }
        if let outcome, claim.id.isFleeting {
            if let message { settleMessage(message, of: job, outcome) }
        } else {
            message?.finishHeld()
        }
        settleEnded()
        dispatch()
        progress.signal()
    }

    /// Cancels the tasks of attempts.
    func cancel(_ claims: some Sequence<JobClaim>, _ reason: AttemptCancellation.Reason) {
        let claims = Array(claims)
        let attempts = state.withLock { state in claims.compactMap { state.attempts[$0] } }
        for attempt in attempts {
            attempt.cancellation.record(reason)
            attempt.task.cancel()
        }
    }
}
