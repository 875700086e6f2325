/// The jobs of one name that are retryable or discarded because of similar errors.
public struct JobErrorGroup: Hashable, Sendable {
    /// The number by which ``JobQuery/errorGroup`` selects the jobs.
    public let number: Int64
    /// The name of the jobs.
    public let name: String
    /// The first line of the errors, with `#` for numbers.
    public let error: String
    /// The number of jobs.
    public let count: Int
    /// The job that failed last.
    public let latestJob: JobID
    /// The time of that failure, or the start of that attempt if the job is retryable.
    public let latestAt: JobTime
}
