import Logging
import TallyBasics
import UVLoop

extension WorkerSession {
    /// The time between two checks of the leases.
    private var tick: Duration {
        min(options.lease / 20, options.cancellationInterval, .milliseconds(50))
    }

    /// Renews leases, and checks for requested cancellations of jobs, until the task is cancelled.
    ///
    /// - Parameter start: when the worker started.
    func maintain(since start: MonotonicInstant) async {
        var nextCheck = start + options.cancellationInterval
        var nextReport = start + options.lease / 3
        while !Task.isCancelled {
            await executor.sleep(for: tick)
            let now = leaseNow
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

    /// Finishes the messages that are held for at least `age`.
    func finishHeldMessages(heldFor age: Duration, at now: MonotonicInstant) {
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
        let instant = leaseNow
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

    /// If all slots are busy, requeues the messages that wait for one, so that other workers receive
    /// them. A worker that claims ahead keeps its messages. The messages of fleeting jobs stay, because
    /// each further delivery would use an attempt of the job.
    private func returnWaitingMessages() {
        let returned = state.withLock { state -> [WorkerQueue<WorkerMessage>.Waiting] in
            state.window.check(active: state.queue.active, interval: tick)
            guard !state.window.isAhead, state.queue.active >= options.concurrency else {
                return []
            }
            return state.queue.removeWaiting { $0.token.fleeting == nil }
        }
        for waiting in returned { waiting.token.requeue() }
        dispatch()
    }
}
