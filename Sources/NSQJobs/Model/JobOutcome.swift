/// How an attempt of a job ended.
public enum JobOutcome: Hashable, Sendable {
    /// The job succeeded.
    case complete
    /// The attempt failed. The job is retried after a delay, or discarded after the last attempt.
    ///
    /// - Parameters:
    ///   - error: the text of the error, which is kept.
    ///   - delay: the time until the next attempt.
    case fail(error: String, retryAfter: Duration)
    /// The job runs again after a delay. The attempt does not count.
    case snooze(Duration)
    /// The worker has no handler for the job. The reason is stored, the attempt does not count, and
    /// the job is available again after a delay.
    case unhandled(reason: String, retryAfter: Duration)
    /// The job is discarded: no further attempt is made.
    case discard(reason: String)
    /// The job is cancelled.
    case cancel(reason: String)
    /// The worker stops before the end of the job. The job is available again at once, and the attempt
    /// does not count.
    case release
}

/// A job throws this error to end its attempt in another way than by a failure.
///
/// ```swift
/// guard try await isReady() else { throw JobInterruption.snooze(.seconds(60)) }
/// ```
public struct JobInterruption: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case snooze(Duration)
        case retry(Duration, reason: String)
        case discard(reason: String)
        case cancel(reason: String)
    }

    package let kind: Kind

    private init(_ kind: Kind) {
        self.kind = kind
    }

    /// Performs the job again after a delay. The attempt does not count, and no error is kept.
    public static func snooze(_ delay: Duration) -> Self { Self(.snooze(delay)) }

    /// Fails the attempt, with another delay than that of the job's ``JobRetryPolicy``.
    ///
    /// - Parameters:
    ///   - delay: the time until the next attempt.
    ///   - reason: the error text that is kept.
    public static func retry(after delay: Duration, reason: String = "retry requested") -> Self {
        Self(.retry(delay, reason: reason))
    }

    /// Discards the job, because no further attempt can succeed.
    ///
    /// - Parameter reason: the error text that is kept.
    public static func discard(_ reason: String) -> Self { Self(.discard(reason: reason)) }

    /// Cancels the job.
    ///
    /// - Parameter reason: the error text that is kept.
    public static func cancel(_ reason: String) -> Self { Self(.cancel(reason: reason)) }
}
