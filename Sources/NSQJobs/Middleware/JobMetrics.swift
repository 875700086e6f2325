#if MetricsSupport
    import Metrics
    import UVLoop

    /// Reports jobs to swift-metrics, each metric with the dimensions `queue` and `name`.
    ///
    /// | metric | kind | |---|---| | `nsq.jobs.enqueued` | counter of the stored jobs | |
    /// `nsq.jobs.completed`, `nsq.jobs.failed`, `nsq.jobs.interrupted` | counters of the ended attempts |
    /// | `nsq.jobs.discarded` | counter of the discarded fleeting jobs | | `nsq.jobs.perform.duration` |
    /// timer of the attempts | | `nsq.jobs.wait.duration` | timer of the waits from the due time to the
    /// first attempt |
    ///
    /// With the package trait `MetricsSupport`, ``Jobs/Configuration/middleware`` contains this
    /// middleware by default.
    public final class JobMetrics: JobMiddleware {
        private struct Key: Hashable {
            let queue: String
            let name: String
        }

        private struct Instruments: Sendable {
            let enqueued, completed, failed, interrupted, discarded: Counter
            let duration, wait: Metrics.Timer

            init(_ key: Key) {
                let dimensions = [("queue", key.queue), ("name", key.name)]
                func counter(_ label: String) -> Counter {
                    Counter(label: "nsq.jobs.\(label)", dimensions: dimensions)
                }
                enqueued = counter("enqueued")
                completed = counter("completed")
                failed = counter("failed")
                interrupted = counter("interrupted")
                discarded = counter("discarded")
                duration = Metrics.Timer(
                    label: "nsq.jobs.perform.duration", dimensions: dimensions)
                wait = Metrics.Timer(label: "nsq.jobs.wait.duration", dimensions: dimensions)
            }
        }

        /// The maximum number of pairs of a queue and a name with their own dimensions. Further pairs
        /// are reported as `other`.
        private static let maxKeys = 1_000

        private let instruments = LockedValue<[Key: Instruments]>([:])

        /// Creates the middleware.
        public init() {}

        /// Counts the stored jobs.
        public func enqueue(
            _ jobs: [NewJob],
            _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
        ) async throws(JobsError) -> [EnqueueReceipt] {
            let receipts = try await next(jobs)
            for (job, receipt) in zip(jobs, receipts) where receipt.kind == .new {
                instruments(job.options.queue, job.name).enqueued.increment()
            }
            return receipts
        }

        /// Counts and measures the attempt.
        public func perform(
            _ context: JobContext, _ next: (JobContext) async throws -> Void
        ) async throws {
            let job = context.job
            let instruments = instruments(job.queue, job.name)
            if job.attempt == 1, let start = job.startedAt {
                instruments.wait.record(duration: max(.zero, start - job.dueAt))
            }
            let start = ContinuousClock.now
            defer { instruments.duration.record(duration: start.duration(to: .now)) }
            do {
                try await next(context)
                instruments.completed.increment()
            } catch {
                switch AttemptEnd(error) {
                case .interrupted: instruments.interrupted.increment()
                case .failed: instruments.failed.increment()
                }
                throw error
            }
        }

        /// Counts a ``JobGrade/fleeting`` job (one that is only an NSQ message) that was discarded.
        public func discarded(_ job: JobRecord, reason: String) {
            instruments(job.queue, job.name).discarded.increment()
        }

        private func instruments(_ queue: String, _ name: String) -> Instruments {
            instruments.withLock { all in
                let key =
                    all.count < Self.maxKeys
                    ? Key(queue: queue, name: name) : Key(queue: "other", name: "other")
                if let known = all[Key(queue: queue, name: name)] ?? all[key] { return known }
                let new = Instruments(key)
                all[key] = new
                return new
            }
        }
    }
#endif
