import Logging
import TallyBasics
import UVLoop

extension WorkerSession {
    /// The number of deliveries beyond the maximum of attempts after which a job is given up without being
    /// performed: it may end its worker's process in each attempt.
    private static let maxFurtherDeliveries = 100

    /// Returns a fleeting job as claimed; `stale` if it is given up instead.
    func claim(_ message: FleetingMessage, attempt: Int) -> ClaimResult {
        let job = message.record(attempt: attempt, at: clock.now())
        guard attempt <= job.maxAttempts + Self.maxFurtherDeliveries else {
            giveUp(job, "was delivered \(attempt) times and never ended")
            return .stale
        }
        return .claimed(job)
    }

    /// Answers the message of a fleeting job whose attempt has ended.
    func answer(_ message: WorkerMessage, of job: JobRecord, _ outcome: JobOutcome) {
        switch outcome {
        case .complete: message.finishHeld()
        case .release: message.requeueHeld(after: .zero)
        case .snooze(let delay), .unhandled(_, let delay): message.requeueHeld(after: delay)
        case .discard(let reason), .cancel(let reason):
            giveUp(job, reason)
            message.finishHeld()
        case .fail(let error, let delay):
            guard job.attempt >= job.maxAttempts else {
                logger.warning(
                    "fleeting job \(job.id) '\(job.name)' failed in attempt \(job.attempt), again in \(delay): \(error)"
                )
                return message.requeueHeld(after: delay)
            }
            giveUp(job, error)
            message.finishHeld()
        }
    }

    private func giveUp(_ job: JobRecord, _ reason: String) {
        logger.error(
            "fleeting job \(job.id) '\(job.name)' is discarded after attempt \(job.attempt): \(reason)"
        )
        performer.middleware.discarded(job, reason: reason)
        guard options.storesDiscardedFleetingJobs else { return }
        var options = JobOptions(queue: job.queue, priority: job.priority, retry: job.retry)
        options.timeout = job.timeout
        let new = NewJob(name: job.name, arguments: job.arguments, options: options)
        Task {
            do throws(JobsError) {
                try await store.insertDiscarded(new, note: reason, at: clock.now())
            } catch {
                logger.error("cannot store the discarded fleeting job \(job.id): \(error)")
            }
        }
    }
}
