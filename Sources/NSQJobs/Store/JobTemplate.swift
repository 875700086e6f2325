import Foundation

/// The job of a schedule, or the callback of a batch, as JSON in a column.
struct JobTemplate: Codable {
    private let name: String
    private let arguments: String
    private let uniqueKey: String?
    private let limitKey: String?
    private let queue: String
    private let priority: JobPriority
    private let tags: [String]
    private let maxAttempts: Int
    private let firstDelay: Int64
    private let maxDelay: Int64
    private let jitter: Double
    private let timeout: Int64?
    private let uniqueStates: [JobState]
    private let uniqueWindow: Int64?
    private let replacesWaiting: Bool
    private let traceContext: [String: String]?

    init(_ job: NewJob) {
        name = job.name
        arguments = job.arguments
        uniqueKey = job.uniqueKey
        limitKey = job.limitKey
        queue = job.options.queue
        priority = job.options.priority
        tags = job.options.tags
        maxAttempts = job.options.retry.maxAttempts
        firstDelay = job.options.retry.firstDelay.microsecondsRoundedUp
        maxDelay = job.options.retry.maxDelay.microsecondsRoundedUp
        jitter = job.options.retry.jitter
        timeout = job.options.timeout?.microsecondsRoundedUp
        uniqueStates = job.options.uniqueness.states.sorted { $0.rawValue < $1.rawValue }
        uniqueWindow = job.options.uniqueness.window?.microsecondsRoundedUp
        replacesWaiting = job.options.uniqueness.conflict == .replaceWaiting
        traceContext = TraceContext.bounded(job.traceContext)
    }

    /// Creates the job.
    ///
    /// - Parameter tick: the time before which it does not run.
    func job(dueAt tick: JobTime?) -> NewJob {
        let retry = JobRetryPolicy(
            maxAttempts: maxAttempts, firstDelay: .microseconds(firstDelay),
            maxDelay: .microseconds(maxDelay), jitter: jitter)
        let uniqueness = JobUniqueness(
            states: Set(uniqueStates), window: uniqueWindow.map { .microseconds($0) },
            conflict: replacesWaiting ? .replaceWaiting : .keepExisting)
        let options = JobOptions(
            queue: queue, priority: priority, tags: tags, retry: retry,
            timeout: timeout.map { .microseconds($0) }, uniqueness: uniqueness)
        var job = NewJob(
            name: name, arguments: arguments, options: options, uniqueKey: uniqueKey,
            limitKey: limitKey, dueAt: tick)
        job.traceContext = traceContext ?? [:]
        return job
    }
}
