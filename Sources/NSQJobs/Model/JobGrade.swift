/// Whether a job is stored, or exists only as an NSQ message.
public enum JobGrade: Hashable, Sendable {
    /// The job is a row in the store, which is authoritative, and NSQ only wakes workers. This is the
    /// default.
    case tracked
    /// The job is only an NSQ message, for high rates of work that may be repeated.
    ///
    /// - The enqueue returns when nsqd has accepted the message. The job is as durable as nsqd's messages,
    ///   and runs at least once.
    /// - Each delivery counts as an attempt, even if a busy or stopping worker returns the message. A
    ///   failed attempt is delivered again after the delay of ``JobOptions/retry``, at most nsqd's
    ///   `--max-req-timeout`, an hour by default.
    /// - After the last attempt the job is discarded: it is logged as an error, passed to
    ///   ``JobMiddleware/discarded(_:reason:)``, and, with
    ///   ``JobWorker/Options/storesDiscardedFleetingJobs``, stored in the state `discarded`.
    /// - The job has no status, no output and no unique key. It cannot be cancelled, paused or enqueued
    ///   in a transaction of the application. Its delay is at most an hour.
    ///
    /// ``Jobs/manual(store:middleware:)`` and ``Jobs/inline(store:middleware:_:)`` store such a job as a
    /// tracked one.
    case fleeting
}

extension JobID {
    /// The first ID of jobs that are not stored. The store assigns only lower IDs.
    static let firstFleeting: Int64 = 1 << 62 + 1

    /// A random ID of a job that is not stored.
    static func randomFleeting() -> JobID { JobID(.random(in: firstFleeting ... .max)) }

    /// `true` for the ID of a ``JobGrade/fleeting`` job.
    public var isFleeting: Bool { number >= Self.firstFleeting }
}
