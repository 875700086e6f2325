import Logging
import NSQClient
import TallyBasics
import UVLoop

extension WorkerSession {
    /// The number of deliveries beyond the maximum of attempts after which a job is discarded
    /// without being performed, because it may crash its worker in each attempt.
    private static let maxFurtherDeliveries = 100

    /// Returns a fleeting job as claimed; `stale` if the job must be discarded instead.
    func claim(_ message: FleetingMessage, attempt: Int) -> ClaimResult {
        let job = message.record(attempt: attempt, at: clock.now())
        return attempt <= job.maxAttempts + Self.maxFurtherDeliveries ? .claimed(job) : .stale
    }

    /// Discards a job that was delivered too often, and finishes or requeues its message.
    func giveUp(_ message: WorkerMessage, of job: FleetingMessage) {
        giveUp(
            message, of: job.record(attempt: message.attempts, at: clock.now()),
            "was delivered \(message.attempts) times and never ended")
    }

    /// Finishes or requeues the message of a fleeting job whose attempt has ended.
    func settleMessage(_ message: WorkerMessage, of job: JobRecord, _ outcome: JobOutcome) {
        switch outcome {
        case .complete: message.finishHeld()
        case .release: message.requeueHeld(after: .zero)
        case .snooze(let delay): message.requeueHeld(after: delay)
        case .unhandled(let reason, let delay):
            logger.warning(
                "fleeting job \(job.id) '\(job.name)' cannot be performed, again in \(delay): \(reason)"
            )
            Task { await publishAgain(message, after: delay) }
        case .discard(let reason), .cancel(let reason): giveUp(message, of: job, reason)
        case .fail(let error, let delay):
            guard job.attempt >= job.maxAttempts else {
                logger.warning(
                    "fleeting job \(job.id) '\(job.name)' failed in attempt \(job.attempt), again in \(delay): \(error)"
                )
                return message.requeueHeld(after: delay)
            }
            giveUp(message, of: job, error)
        }
    }

    /// Replaces the message of a job that this worker cannot perform by a new one, so that the delivery does
    /// not count as an attempt.
    private func publishAgain(_ message: WorkerMessage, after delay: Duration) async {
        guard var job = message.fleeting else { return }
        job.earlierAttempts = message.attempts - 1
        do throws(NSQError) {
            try await relay.publish(job, after: min(delay, FleetingMessage.maxDelay))
            message.finishHeld()
        } catch {
            logger.warning("cannot publish fleeting job \(job.id) again: \(error)")
            message.requeueHeld(after: delay)
        }
    }

    /// Discards a job. If discarded fleeting jobs are stored, its message is kept in flight until
    /// the job is stored.
    private func giveUp(_ message: WorkerMessage, of job: JobRecord, _ reason: String) {
        logger.error(
            "fleeting job \(job.id) '\(job.name)' is discarded after attempt \(job.attempt): \(reason)"
        )
        performer.middleware.discarded(job, reason: reason)
        guard options.storesDiscardedFleetingJobs else { return message.finishHeld() }
        var options = JobOptions(queue: job.queue, priority: job.priority, retry: job.retry)
        options.timeout = job.timeout
        var new = NewJob(name: job.name, arguments: job.arguments, options: options)
        new.traceContext = job.traceContext
        Task { [new] in
            if await storeDiscarded(new, job.id, reason) {
                message.finishHeld()
            } else {
                message.requeueHeld(after: .zero)
            }
        }
    }

    /// Stores a discarded job. A failed call of the store is repeated, because the job must not run
    /// again.
    ///
    /// - Returns: `false` if the worker stops before the job is stored.
    private func storeDiscarded(_ job: NewJob, _ id: JobID, _ reason: String) async -> Bool {
        var backoff = Backoff(
            from: .milliseconds(50), upTo: .seconds(2), jitterSeed: .random(in: 0 ... .max))
        repeat {
            do throws(JobsError) {
                try await store.insertDiscarded(job, note: reason, at: clock.now())
                return true
            } catch {
                let delay = backoff.nextDelay()
                logger.error(
                    "cannot store the discarded fleeting job \(id); next attempt in \(delay): \(error)"
                )
                try? await Task.sleep(for: delay)
            }
        } while !isStopping
        return false
    }
}
