import Logging
import NSQClient
import TallyBasics
import UVLoop

extension WorkerSession {
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
        await releaseClaimed(until: end, orStopAtOnce: true) {
            $0.queue.active == 0 && !$0.isSettling
        }
        release()
        cancel(state.withLock { Array($0.attempts.keys) }, .stopping)
        await releaseClaimed(until: .now + Self.closeTimeout, orStopAtOnce: false) {
            $0.queue.active == 0 && !$0.isSettling
        }
        maintenance.cancel()
        finishHeldMessages(heldFor: .zero, at: .now)
        // Requeues the messages of fleeting jobs that did not end.
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

    /// Releases claimed jobs until a condition holds, the time has passed, or the worker stops at once.
    private func releaseClaimed(
        until end: MonotonicInstant, orStopAtOnce: Bool, _ isDone: (State) -> Bool
    ) async {
        while MonotonicInstant.now < end, !(orStopAtOnce && isStoppingAtOnce) {
            // Jobs whose claim ends during the shutdown do not start, so they are released too.
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
