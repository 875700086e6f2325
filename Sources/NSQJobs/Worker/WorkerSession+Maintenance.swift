import Logging
import NSQClient
import TallyBasics
import UVLoop

extension WorkerSession {
    /// The time between two checks of the leases.
    private var tick: Duration {
        min(options.lease / 20, options.cancellationInterval, .milliseconds(50))
    }

    /// Renews leases, and looks for cancellations, until the task is cancelled.
    func maintain() async {
        var nextCheck = MonotonicInstant.now + options.cancellationInterval
        var nextReport = MonotonicInstant.now + options.lease / 3
        while !Task.isCancelled {
            await executor.sleep(for: tick)
            let now = MonotonicInstant.now
            let isCheck = nextCheck <= now
            if isCheck { nextCheck = now + options.cancellationInterval }
            let isReport = nextReport <= now
            if isReport { nextReport = now + options.lease / 3 }
            endExpiredLeases(at: now)
            startRenewals(at: now, isCheck: isCheck, isReport: isReport)
            finishHeldMessages(heldFor: options.messageHold, at: now)
            returnWaitingMessages()
        }
    }

    private func finishHeldMessages(heldFor age: Duration, at now: MonotonicInstant) {
        let messages = state.withLock { $0.held.releaseAll(heldFor: age, at: now) }
        for message in messages { message.finishHeld() }
    }

    private func endExpiredLeases(at now: MonotonicInstant) {
        let expired = state.withLock { $0.leases.removeExpired(at: now) }
        guard !expired.isEmpty else { return }
        logger.warning("the leases of \(counted(expired.count, "job")) end without a renewal")
        cancel(expired, .leaseLost)
    }

    /// Starts the calls of the store in another task, because they must not delay the check of expired
    /// leases. One such task runs at a time.
    private func startRenewals(at now: MonotonicInstant, isCheck: Bool, isReport: Bool) {
        let age = options.cancellationInterval / 2
        let work = state.withLock { state -> (renewed: [JobClaim], checked: [JobClaim])? in
            guard !state.isRenewing else { return nil }
            let renewed = state.leases.renewals(at: now)
            let checked = isCheck ? state.leases.claims(heldFor: age, at: now) : []
            guard !renewed.isEmpty || !checked.isEmpty || isReport else { return nil }
            state.isRenewing = true
            return (renewed, checked)
        }
        guard let work else { return }
        Task(executorPreference: executor) {
            await self.renew(work.renewed, checking: work.checked, isReport: isReport)
        }
    }

    private func renew(
        _ renewed: [JobClaim], checking checked: [JobClaim], isReport: Bool
    ) async {
        do throws(JobsError) {
            try await renew(renewed)
            if !checked.isEmpty { cancel(try await store.cancellations(of: checked), .requested) }
            if isReport {
                try await store.updateWorker(
                    state.withLock { $0.number }, isStopped: false, at: clock.now())
            }
        } catch {
            logger.warning("cannot renew leases: \(error)")
        }
        state.withLock { $0.isRenewing = false }
    }

    private func renew(_ claims: [JobClaim]) async throws(JobsError) {
        guard !claims.isEmpty else { return }
        let instant = MonotonicInstant.now
        let answers = try await store.renew(claims, lease: options.lease)
        var (cancelled, lost): ([JobClaim], [JobClaim]) = ([], [])
        state.withLock { state in
            for (claim, answer) in zip(claims, answers) {
                switch answer {
                case .renewed: state.leases.renewed(claim, at: instant)
                case .cancelRequested:
                    state.leases.renewed(claim, at: instant)
                    cancelled.append(claim)
                case .lost:
                    state.leases.remove(claim)
                    lost.append(claim)
                }
            }
        }
        cancel(cancelled, .requested)
        cancel(lost, .leaseLost)
    }

    /// If all slots are busy, requeues the messages that wait for one, so that other workers receive them.
    /// A worker that claims ahead keeps them.
    private func returnWaitingMessages() {
        let returned = state.withLock { state -> [WorkerQueue<WorkerMessage>.Waiting] in
            state.window.check(active: state.queue.active, interval: tick)
            guard !state.window.isAhead, state.queue.active >= options.concurrency else {
                return []
            }
            return state.queue.removeWaiting()
        }
        for waiting in returned { waiting.token.requeue() }
        dispatch()
    }

    // MARK: Shutdown

    /// The maximum time for which a stopping worker waits for cancelled tasks and for the store.
    private static let closeTimeout = Duration.seconds(5)

    /// Ends everything that ``run()`` has started.
    func shutDown(_ feeders: [Task<Void, Never>], _ maintenance: Task<Void, Never>) async {
        let (waiting, consumers) = state.withLock { state in
            state.queue.stop()
            return (state.queue.removeWaiting(), state.consumers)
        }
        for feeder in feeders { feeder.cancel() }
        for message in waiting { message.token.requeue() }
        let end = MonotonicInstant.now + options.stopTimeout
        await wait(until: end, orStopAtOnce: true) { $0.queue.active == 0 && !$0.isSettling }
        release()
        cancel(state.withLock { Array($0.attempts.keys) }, .stopping)
        await wait(until: .now + Self.closeTimeout, orStopAtOnce: false) {
            $0.queue.active == 0 && !$0.isSettling
        }
        maintenance.cancel()
        finishHeldMessages(heldFor: .zero, at: .now)
        // Those of fleeting jobs that did not end.
        for message in state.withLock({ $0.held.releaseAll() }) {
            message.requeueHeld(after: .zero)
        }
        await withDiscardingTaskGroup { group in
            for consumer in consumers { group.addTask { await consumer.stop() } }
        }
        reportRest()
        let number = state.withLock { $0.number }
        try? await store.updateWorker(number, isStopped: true, at: clock.now())
    }

    /// Releases the claimed jobs that have not started.
    private func release() {
        let messages = state.withLock { state in
            state.queue.removeClaimed().compactMap(\.claim).compactMap { claim in
                if claim.id.isFleeting { return state.held.release(claim) }
                state.unsettled.append(Settlement(claim, .release))
                return nil
            }
        }
        for message in messages { message.requeueHeld(after: .zero) }
        settleEnded()
    }

    private func wait(
        until end: MonotonicInstant, orStopAtOnce: Bool, _ isDone: (State) -> Bool
    ) async {
        while MonotonicInstant.now < end, !(orStopAtOnce && isStoppingAtOnce) {
            // Jobs whose claim ends now do not start any more.
            release()
            if state.withLock({ isDone($0) }) { return }
            await progress.wait(atMost: min(end - .now, .milliseconds(100)))
        }
    }

    private func reportRest() {
        let rest = state.withLock { $0.attempts.keys.map(\.id) }
        guard !rest.isEmpty else { return }
        logger.warning(
            "\(counted(rest.count, "job")) did not end after the cancellation: \(rest); it is available again when its lease ends"
        )
    }
}
