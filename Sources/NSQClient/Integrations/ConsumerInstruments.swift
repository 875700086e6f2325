import NSQWire

#if MetricsSupport
    import Metrics
#endif
#if DistributedTracingSupport
    import Tracing
#endif

/// The metrics and the spans of a consumer. Without the package traits `MetricsSupport` and
/// `DistributedTracingSupport`, nothing is recorded, and the calls cost nothing.
struct ConsumerInstruments: Sendable {
    private let topic: String
    private let channel: String
    #if MetricsSupport
        private let received: Counter
        private let finished: Counter
        private let requeued: Counter
        private let givenUp: Counter
        private let duration: Metrics.Timer
    #endif

    init(topic: TopicName, channel: ChannelName) {
        self.topic = topic.text
        self.channel = channel.text
        #if MetricsSupport
            let dimensions = [("topic", topic.text), ("channel", channel.text)]
            received = Counter(label: "nsq.consumer.received", dimensions: dimensions)
            finished = Counter(label: "nsq.consumer.finished", dimensions: dimensions)
            requeued = Counter(label: "nsq.consumer.requeued", dimensions: dimensions)
            givenUp = Counter(label: "nsq.consumer.given_up", dimensions: dimensions)
            duration = Metrics.Timer(label: "nsq.consumer.handler.duration", dimensions: dimensions)
        #endif
    }

    /// Counts messages that were received.
    func countReceived(_ count: Int) {
        #if MetricsSupport
            received.increment(by: count)
        #endif
    }

    /// Counts messages that the program has finished.
    func countFinished(_ count: Int) {
        #if MetricsSupport
            finished.increment(by: count)
        #endif
    }

    /// Counts messages that the program has requeued.
    func countRequeued(_ count: Int) {
        #if MetricsSupport
            requeued.increment(by: count)
        #endif
    }

    /// Counts a message that was given up.
    func countGivenUp() {
        #if MetricsSupport
            givenUp.increment()
        #endif
    }

    /// Calls the handler of one message, and records a span and the duration.
    func observe(_ message: Message, _ handle: () async throws -> Void) async throws {
        #if DistributedTracingSupport
            try await withSpan("process \(topic)", ofKind: .consumer) { span in
                span.attributes["messaging.system"] = "nsq"
                span.attributes["messaging.operation.type"] = "process"
                span.attributes["messaging.destination.name"] = topic
                span.attributes["messaging.consumer.group.name"] = channel
                span.attributes["messaging.message.id"] = message.id
                span.attributes["messaging.nsq.attempts"] = message.attempts
                // A thrown error is recorded by withSpan.
                try await measure(handle)
            }
        #else
            try await measure(handle)
        #endif
    }

    private func measure(_ handle: () async throws -> Void) async throws {
        #if MetricsSupport
            let start = ContinuousClock.now
            defer { duration.record(duration: start.duration(to: .now)) }
        #endif
        try await handle()
    }
}
