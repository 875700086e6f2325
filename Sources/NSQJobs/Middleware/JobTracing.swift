#if DistributedTracingSupport
    import Tracing

    /// Makes each enqueue and each attempt a span of swift-distributed-tracing: `enqueue NAME` of the kind
    /// producer, and `perform NAME` of the kind consumer.
    ///
    /// With the package trait `DistributedTracingSupport`, ``Jobs/Configuration/middleware`` contains it
    /// by default.
    public struct JobTracing: JobMiddleware {
        /// Creates the middleware.
        public init() {}

        /// Stores the jobs within a span.
        public func enqueue(
            _ jobs: [NewJob],
            _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
        ) async throws(JobsError) -> [EnqueueReceipt] {
            guard let first = jobs.first else { return try await next(jobs) }
            let result: Result<[EnqueueReceipt], JobsError> = await withSpan(
                "enqueue \(first.name)", ofKind: .producer
            ) { span in
                span.attributes["messaging.system"] = "nsq"
                span.attributes["messaging.operation.type"] = "send"
                span.attributes["messaging.destination.name"] = first.options.queue
                span.attributes["messaging.batch.message_count"] = jobs.count
                do throws(JobsError) {
                    return .success(try await next(jobs))
                } catch {
                    span.recordError(error)
                    span.setStatus(SpanStatus(code: .error, message: error.description))
                    return .failure(error)
                }
            }
            return try result.get()
        }

        /// Performs the attempt within a span. A thrown error is recorded in it.
        public func perform(
            _ context: JobContext, _ next: (JobContext) async throws -> Void
        ) async throws {
            try await withSpan("perform \(context.job.name)", ofKind: .consumer) { span in
                span.attributes["messaging.system"] = "nsq"
                span.attributes["messaging.operation.type"] = "process"
                span.attributes["messaging.destination.name"] = context.job.queue
                span.attributes["messaging.message.id"] = "\(context.id)"
                span.attributes["job.attempt"] = context.attempt
                try await next(context)
            }
        }
    }
#endif
