import Logging
import NSQClient
import TallyBasics
import UVLoop

extension WorkerSession {
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
        let batch = state.withLock { state in
            while let job = state.queue.startNext() { start(job, &state) }
            let batch = state.queue.startClaim(limit: state.window.limit)
            updateMaxInFlight(&state)
            return batch
        }
        if !batch.isEmpty { Task { await claim(batch) } }
    }

    private func updateMaxInFlight(_ state: inout State) {
        guard !isStopping else { return }
        let free =
            state.window.isAhead
            ? state.window.limit : max(0, options.concurrency - state.queue.active)
        for (index, consumer) in state.consumers.enumerated() {
            // Held messages are in flight too. With several nsqds, some of them could send messages although
            // no slot is free, so the number is zero then.
            let held = state.held.count(of: index)
            // Does not follow each change of a number that changes with each short job.
            let allowance = state.window.isAhead && held > 0 ? free : held
            let count = free > 0 ? free + allowance : 0
            guard count != state.maxInFlight[index] else { continue }
            state.maxInFlight[index] = count
            // Called under the lock: otherwise an older count could reach a consumer after a newer one.
            consumer.setMaxInFlight(count)
        }
    }

    private func claim(_ batch: [WorkerQueue<WorkerMessage>.Waiting]) async {
        let instant = MonotonicInstant.now
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
            claimed = try await store.claim(
                references, worker: worker, lease: options.lease, at: clock.now())[...]
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
        var (jobs, finished): ([JobRecord], [WorkerMessage]) = ([], [])
        state.withLock { state in
            for (waiting, result) in zip(batch, results) {
                guard case .claimed(let job) = result, let claim = job.claim else {
                    finished.append(waiting.token)
                    continue
                }
                jobs.append(job)
                guard !claim.id.isFleeting else {
                    state.held.hold(waiting.token, of: claim, from: waiting.token.source, at: nil)
                    waiting.token.hold()
                    continue
                }
                state.leases.add(claim, at: instant)
                // Jobs that are claimed ahead take so little time that their messages are finished together.
                guard !state.window.isAhead, options.messageHold > .zero else {
                    finished.append(waiting.token)
                    continue
                }
                state.held.hold(waiting.token, of: claim, from: waiting.token.source, at: instant)
                waiting.token.hold()
            }
            state.queue.endClaim(jobs)
        }
        for message in finished { message.finish() }
        relay.jobsClaimed(jobs.count { !$0.id.isFleeting })
        let isHeld = results.contains { if case .held = $0 { true } else { false } }
        // The process of the holder can be ending.
        if isHeld { relay.jobsStored(due: clock.now() + Self.takeOverDelay) }
    }

    /// The time after which a process that was ending has ended.
    private static let takeOverDelay = Duration.milliseconds(100)
}
