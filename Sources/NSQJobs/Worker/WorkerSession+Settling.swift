import Logging
import TallyBasics
import UVLoop

extension WorkerSession {
    /// The maximum number of settlements in one change of the store.
    private static let maxSettlements = 1_000

    /// Settles the ended attempts, that is, stores their outcomes. The attempts that end during a
    /// commit are in the next commit.
    func settleEnded() {
        let isIdle = state.withLock { state in
            guard !state.isSettling, !state.unsettled.isEmpty else { return false }
            state.isSettling = true
            return true
        }
        if isIdle { Task { await settleAll() } }
    }

    private func settleAll() async {
        var backoff = Backoff(
            from: .milliseconds(50), upTo: .seconds(2), jitterSeed: .random(in: 0 ... .max))
        while let batch = nextSettlements() {
            do throws(JobsError) {
                let result = try await store.settle(batch, at: clock.now())
                if result.hasNewlyAvailable { relay.jobsStored(due: nil) }
                settled(batch, result.isHeld)
                backoff.reset()
            } catch {
                let delay = backoff.nextDelay()
                logger.warning(
                    "cannot settle \(counted(batch.count, "job")); next attempt in \(delay): \(error)"
                )
                state.withLock { $0.unsettled.insert(contentsOf: batch, at: 0) }
                try? await Task.sleep(for: delay)
            }
        }
        progress.signal()
    }

    private func nextSettlements() -> [Settlement]? {
        state.withLock { state in
            guard !state.unsettled.isEmpty else {
                state.isSettling = false
                return nil
            }
            let batch = Array(state.unsettled.prefix(Self.maxSettlements))
            state.unsettled.removeFirst(batch.count)
            return batch
        }
    }

    private func settled(_ batch: [Settlement], _ isHeld: [Bool]) {
        let messages = state.withLock { state in
            batch.compactMap { settlement in
                state.leases.remove(settlement.claim)
                return state.held.release(settlement.claim)
            }
        }
        for message in messages { message.finishHeld() }
        if !messages.isEmpty { dispatch() }
        let lost = zip(batch, isHeld).filter { !$1 }.map(\.0.claim.id)
        guard !lost.isEmpty else { return wakeRelay(after: batch) }
        logger.warning(
            "\(counted(lost.count, "job")) ended after its lease, and runs again: \(lost)")
        wakeRelay(after: batch)
    }

    /// Schedules a sweep for the released and failed jobs, which the relay must publish again.
    private func wakeRelay(after batch: [Settlement]) {
        var due: JobTime?
        for settlement in batch {
            switch settlement.outcome {
            case .release: return relay.jobsStored(due: nil)
            case .fail(_, let delay), .snooze(let delay), .unhandled(_, let delay):
                let time = clock.now() + delay
                due = min(due ?? time, time)
            case .complete, .discard, .cancel: break
            }
        }
        if let due { relay.jobsStored(due: due) }
    }
}
