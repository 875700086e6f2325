#if DistributedTracingSupport
    import Tracing

    /// Makes each enqueue and each attempt a span of swift-distributed-tracing: `enqueue NAME` of the kind
    /// producer, and `perform NAME` of the kind consumer.
    ///
    /// The span of an attempt is a child of the span of the enqueue: the job carries the trace context
    /// as ``NewJob/traceContext``. The parent of a job that is enqueued in a transaction of the
    /// application is the span around the enqueue.
    ///
    /// With the package trait `DistributedTracingSupport`, ``Jobs/Configuration/middleware`` contains
    /// this middleware by default.
    public struct JobTracing: JobMiddleware {
        /// Creates the middleware.
        public init() {}

        /// Gives the job the trace context of the caller, unless the job has one.
        public func prepare(_ job: inout NewJob) throws(JobsError) {
            if job.traceContext.isEmpty { job.traceContext = Self.values(of: .current) }
        }

        private static func values(of context: ServiceContext?) -> [String: String] {
            guard let context else { return [:] }
            var values: [String: String] = [:]
            InstrumentationSystem.instrument.inject(context, into: &values, using: Values())
            return values
        }

        /// Stores the jobs within a span, whose children are the attempts.
        public func enqueue(
            _ jobs: [NewJob],
            _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
        ) async throws(JobsError) -> [EnqueueReceipt] {
            guard let first = jobs.first else { return try await next(jobs) }
            let caller = Self.values(of: .current)
            let result: Result<[EnqueueReceipt], JobsError> = await withSpan(
                "enqueue \(first.name)", ofKind: .producer
            ) { span in
                span.attributes["messaging.system"] = "nsq"
                span.attributes["messaging.operation.type"] = "send"
                span.attributes["messaging.destination.name"] = first.options.queue
                span.attributes["messaging.batch.message_count"] = jobs.count
                var jobs = jobs
                // A context that was set explicitly stays.
                for index in jobs.indices where jobs[index].traceContext == caller {
                    jobs[index].traceContext = Self.values(of: span.context)
                }
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
            var parent = ServiceContext.current ?? .topLevel
            InstrumentationSystem.instrument.extract(
                context.job.traceContext, into: &parent, using: Values())
            try await withSpan(
                "perform \(context.job.name)", context: parent, ofKind: .consumer
            ) { span in
                span.attributes["messaging.system"] = "nsq"
                span.attributes["messaging.operation.type"] = "process"
                span.attributes["messaging.destination.name"] = context.job.queue
                span.attributes["messaging.message.id"] = "\(context.id)"
                span.attributes["job.attempt"] = context.attempt
                try await next(context)
            }
        }
    }

    /// Writes and reads the values of a context.
    private struct Values: Injector, Extractor {
        func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
            carrier[key] = value
        }

        func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
    }
#endif
