import Logging
import NSQClient
import TallyBasics
import UVLoop

extension WorkerSession {
    /// The maximum time for which a worker that starts waits for its connections. After that time it
    /// takes jobs of the other nsqds, even if one nsqd cannot be reached.
    private static let connectTimeout = Duration.seconds(2)
    /// The time after which the first messages of all priorities have arrived. nsqd buffers small
    /// messages for up to 25 ms, to send several together.
    private static let firstMessagesTime = Duration.milliseconds(30)

    /// Starts to take jobs when all consumers are connected and have received their first messages, so that
    /// the order of priorities holds for the first jobs too.
    func startTaking() async {
        await waitForConnections(state.withLock { $0.consumers })
        state.withLock { state in
            guard !isStopping else { return }
            for (index, consumer) in state.consumers.enumerated() {
                state.maxInFlight[index] = options.concurrency
                consumer.setMaxInFlight(options.concurrency)
            }
        }
        try? await Task.sleep(for: Self.firstMessagesTime)
        guard !isStopping else { return }
        state.withLock { $0.isTaking = true }
        dispatch()
    }

    /// Waits until each consumer is connected to an nsqd, or has failed, or the time has passed.
    private func waitForConnections(_ consumers: [Consumer]) async {
        let ended = WakeSignal()
        let connections = Task {
            await withDiscardingTaskGroup { group in
                for consumer in consumers { group.addTask { try? await consumer.connected() } }
            }
            ended.signal()
        }
        await ended.wait(atMost: Self.connectTimeout)
        connections.cancel()
    }

    /// Takes the messages of a consumer until the task is cancelled.
    func receive(from consumer: Consumer, _ source: Int, _ topic: JobTopic) async {
        for await batch in consumer.batches {
            let messages = WorkerMessage.messages(of: batch, to: topic, from: consumer, source) {
                logger.warning("message \($0.id) does not name a job; it is finished")
            }
            let refused = state.withLock { state in
                messages.filter { !state.queue.add($0.0, topic.priority, $0.1) }
            }
            for (_, message) in refused { message.requeue() }
            dispatch()
        }
    }

    /// Claims and starts jobs for the free slots, and adapts how many messages nsqd may send.
    func dispatch() {
        typealias Work = (batch: [WorkerQueue<WorkerMessage>.Waiting], delay: Duration?)
        let work = state.withLock { state -> Work in
            guard state.isTaking else { return ([], nil) }
            while let job = state.queue.startNext() { startAttempt(of: job, &state) }
            let now = MonotonicInstant.now
            if state.isClosed, state.queue.active < options.concurrency {
                state.queue.opened(at: now)
            }
            let batch = state.queue.startClaim(limit: state.window.limit, at: now)
            updateMaxInFlight(&state)
            guard !state.isPostponed else { return (batch, nil) }
            let delay = state.queue.postponement(limit: state.window.limit, at: now)
            state.isPostponed = delay != nil
            return (batch, delay)
        }
        if !work.batch.isEmpty { Task { await claim(work.batch) } }
        guard let delay = work.delay else { return }
        Task {
            try? await Task.sleep(for: delay)
            state.withLock { $0.isPostponed = false }
            dispatch()
        }
    }

    private func updateMaxInFlight(_ state: inout State) {
        guard !isStopping else { return }
        let free =
            state.window.isAhead
            ? state.window.limit : max(0, options.concurrency - state.queue.active)
        if state.isClosed, free > 0 { state.queue.requested() }
        state.isClosed = free == 0
        for (index, consumer) in state.consumers.enumerated() {
            // Held messages count as in flight, so their number is added to the number of free slots.
            // If no slot is free, max-in-flight is 0; otherwise an nsqd without held messages could
            // still send messages.
            let held = state.held.count(of: index)
            // While short jobs are claimed ahead, the number of held messages changes constantly. The
            // number of free slots is then added instead, so that RDY does not change as often.
            let allowance = state.window.isAhead && held > 0 ? free : held
            let count = free > 0 ? free + allowance : 0
            guard count != state.maxInFlight[index] else { continue }
            state.maxInFlight[index] = count
            // This call is made under the lock, because otherwise an older count could reach a consumer
            // after a newer one.
            consumer.setMaxInFlight(count)
        }
    }

    private func claim(_ batch: [WorkerQueue<WorkerMessage>.Waiting]) async {
        let instant = leaseNow
        let number = state.withLock { $0.number }
        do throws(JobsError) {
            let results = try await claim(batch, worker: number)
            relay.claimsLimited(results)
            endClaim(batch, results, at: instant)
        } catch {
            logger.warning("cannot claim \(counted(batch.count, "job")): \(error)")
            for waiting in batch { waiting.token.requeue(after: .seconds(1)) }
            state.withLock { $0.queue.endClaim([]) }
        }
        progress.signal()
        dispatch()
    }

    /// Claims the stored jobs in the store, and fleeting jobs at once.
    private func claim(
        _ batch: [WorkerQueue<WorkerMessage>.Waiting], worker: Int64
    ) async throws(JobsError) -> [ClaimResult] {
        let references = batch.filter { $0.token.fleeting == nil }.map(\.reference)
        var claimed: ArraySlice<ClaimResult> = []
        if !references.isEmpty {
            let answer = try await store.claim(
                references, worker: worker, lease: options.lease, at: clock.now())
            if answer.hasNewlyAvailable { relay.jobsStored(due: nil) }
            claimed = answer.results[...]
        }
        return batch.map { waiting in
            guard let job = waiting.token.fleeting else { return claimed.removeFirst() }
            return claim(job, attempt: waiting.token.attempts)
        }
    }

    /// Records the claimed jobs, and finishes the messages that are not held.
    private func endClaim(
        _ batch: [WorkerQueue<WorkerMessage>.Waiting], _ results: [ClaimResult],
        at instant: MonotonicInstant
    ) {
        var jobs: [JobRecord] = []
        var (finished, givenUp): ([WorkerMessage], [WorkerMessage]) = ([], [])
        state.withLock { state in
            for (waiting, result) in zip(batch, results) {
                guard case .claimed(let job) = result, let claim = job.claim else {
                    if waiting.token.fleeting == nil {
                        finished.append(waiting.token)
                    } else {
                        waiting.token.countHeld()
                        givenUp.append(waiting.token)
                    }
                    continue
                }
                jobs.append(job)
                guard !claim.id.isFleeting else {
                    state.held.hold(waiting.token, of: claim, from: waiting.token.source, at: nil)
                    waiting.token.countHeld()
                    continue
                }
                state.leases.add(claim, at: instant)
                // Jobs that are claimed ahead take so little time that their messages are finished together.
                guard !state.window.isAhead, options.messageHold > .zero else {
                    finished.append(waiting.token)
                    continue
                }
                state.held.hold(waiting.token, of: claim, from: waiting.token.source, at: instant)
                waiting.token.countHeld()
            }
            state.queue.endClaim(jobs)
            // While the claimed messages were in flight, nsqd has sent no further messages of their
            // class.
            if !state.window.isAhead, state.queue.active < options.concurrency {
                state.queue.opened(at: .now)
                state.queue.requested()
            }
        }
        for message in finished { message.finish() }
        for message in givenUp { if let job = message.fleeting { giveUp(message, of: job) } }
        relay.jobsClaimed(jobs.count { !$0.id.isFleeting })
        let isHeld = results.contains { if case .held = $0 { true } else { false } }
        // The process of the worker that holds the job may be ending, so the relay sweeps again soon.
        if isHeld { relay.jobsStored(due: clock.now() + Self.takeOverDelay) }
    }

    /// The delay of that sweep: a process that is ending has usually ended after this time.
    private static let takeOverDelay = Duration.milliseconds(100)
}
