import Logging

/// Logs the end of each attempt: its duration at the level `info`, and its error at the level `warning`.
///
/// ```swift
/// configuration.middleware.append(JobLogging())
/// ```
public struct JobLogging: JobMiddleware {
    /// Creates the middleware. It uses the logger of each ``JobContext``.
    public init() {}

    /// Performs the attempt, and logs its end.
    public func perform(
        _ context: JobContext, _ next: (JobContext) async throws -> Void
    ) async throws {
        let start = ContinuousClock.now
        context.logger.debug("the job starts")
        do {
            try await next(context)
        } catch {
            let kind = AttemptEnd(error)
            context.logger.log(
                level: kind == .interrupted ? .info : .warning,
                "the attempt ended after \(ContinuousClock.now - start): \(error)")
            throw error
        }
        context.logger.info("the job completed after \(ContinuousClock.now - start)")
    }
}

/// How an attempt that has thrown an error ended.
enum AttemptEnd: Hashable {
    /// The job has decided to run again later, or not to run any more.
    case interrupted
    case failed

    init(_ error: any Error) {
        self = error is JobInterruption || error is CancellationError ? .interrupted : .failed
    }
}
