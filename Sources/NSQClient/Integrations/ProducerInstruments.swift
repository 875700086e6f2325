#if MetricsSupport
    import Metrics
#endif
#if DistributedTracingSupport
    import Tracing
#endif

/// The metrics and the spans of a producer. Without the package traits `MetricsSupport` and
/// `DistributedTracingSupport`, nothing is recorded, and the calls cost nothing.
struct ProducerInstruments: Sendable {
    #if MetricsSupport
        private let published = Counter(label: "nsq.producer.published")
        private let failed = Counter(label: "nsq.producer.failed")
        private let duration = Metrics.Timer(label: "nsq.producer.publish.duration")
    #endif

    /// Calls `publish` for `count` messages, and records a span, the duration and the result.
    ///
    /// - Parameters:
    ///   - topic: the topic.
    ///   - count: the number of messages.
    ///   - publish: publishes, and returns the error of a failed publish.
    /// - Returns: the result of `publish`.
    func observe(
        publishTo topic: String, count: Int, _ publish: () async -> NSQError?
    ) async -> NSQError? {
        #if DistributedTracingSupport
            await withSpan("publish \(topic)", ofKind: .producer) { span in
                span.attributes["messaging.system"] = "nsq"
                span.attributes["messaging.operation.type"] = "send"
                span.attributes["messaging.destination.name"] = topic
                span.attributes["messaging.batch.message_count"] = count
                let error = await measure(count, publish)
                if let error {
                    span.recordError(error)
                    span.setStatus(SpanStatus(code: .error, message: error.description))
                }
                return error
            }
        #else
            await measure(count, publish)
        #endif
    }

    private func measure(_ count: Int, _ publish: () async -> NSQError?) async -> NSQError? {
        #if MetricsSupport
            let start = ContinuousClock.now
            let error = await publish()
            duration.record(duration: start.duration(to: .now))
            (error == nil ? published : failed).increment(by: count)
            return error
        #else
            await publish()
        #endif
    }
}
