import Logging
import TallyBasics

/// Performs one attempt of a job, and converts its end to an outcome.
struct JobPerformer: Sendable {
    let handlers: JobHandlers
    let middleware: MiddlewareChain
    let store: any JobStore
    let clock: JobClock
    let logger: Logger
    /// The time after which a job for which the worker has no handler is available again.
    let unhandledDelay: Duration

    /// Calls the handler of a job. If the task is cancelled, `cancellation` contains the reason.
    ///
    /// - Returns: the outcome; `nil` if the worker lost the job, and must not settle it.
    func perform(_ job: JobRecord, _ cancellation: AttemptCancellation) async -> JobOutcome? {
        guard let handler = handlers[job.name] else {
            return .unhandled(
                reason: "the worker has no handler for '\(job.name)'", retryAfter: unhandledDelay)
        }
        let context = JobContext(job, store, clock, logger)
        do {
            try await middleware.perform(context, handler)
            return .complete
        } catch {
            return outcome(of: error, in: job, cancellation.reason)
        }
    }

    private func outcome(
        of error: any Error, in job: JobRecord, _ reason: AttemptCancellation.Reason?
    ) -> JobOutcome? {
        switch reason {
        case .leaseLost: return nil
        case .stopping: return .release
        case .requested: return .cancel(reason: "cancelled by request while it ran")
        case .timeout(let limit): return failure("timed out after \(limit)", job)
        case nil: break
        }
        switch error {
        case let error as JobHandlers.UndecodableArguments:
            return .unhandled(
                reason: "cannot decode the arguments: \(error.reason)", retryAfter: unhandledDelay)
        case let error as JobInterruption: return outcome(of: error)
        default: return failure("\(error)", job)
        }
    }

    private func outcome(of interruption: JobInterruption) -> JobOutcome {
        switch interruption.kind {
        case .snooze(let delay): .snooze(delay)
        case .retry(let delay, let reason): .fail(error: reason, retryAfter: delay)
        case .discard(let reason): .discard(reason: reason)
        case .cancel(let reason): .cancel(reason: reason)
        }
    }

    private func failure(_ text: String, _ job: JobRecord) -> JobOutcome {
        let seed = SplitMix64.mix(UInt64(bitPattern: job.id.number))
        return .fail(
            error: text, retryAfter: job.retry.delay(afterAttempt: job.attempt, seed: seed))
    }
}
