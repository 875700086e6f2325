#if ServiceLifecycleSupport
    import ServiceLifecycle

    /// A producer is a service that stops at the graceful shutdown: it accepts no more messages, and
    /// waits for the pending responses. A service group must list it before the services that publish,
    /// because a group shuts down its last service first.
    extension Producer: Service {
        /// Waits for the graceful shutdown or the cancellation of the task, and stops the producer.
        public func run() async {
            try? await gracefulShutdown()
            await stop()
        }
    }

    /// A consumer and its handler, as a service. At the graceful shutdown it takes no more messages, and
    /// waits for the running handlers.
    ///
    /// ```swift
    /// let service = ConsumerService(consumer, concurrency: 8) { message in
    ///     try await count(message.body)
    /// }
    /// let group = ServiceGroup(
    ///     services: [service], gracefulShutdownSignals: [.sigterm], logger: logger)
    /// try await group.run()
    /// ```
    public struct ConsumerService: Service {
        private let consumer: Consumer
        private let process: @Sendable () async throws -> Void

        /// Creates a service. The parameters are those of
        /// ``Consumer/run(concurrency:retry:onGivenUp:_:)``.
        public init(
            _ consumer: Consumer, concurrency: Int = 1, retry: RetryPolicy = RetryPolicy(),
            onGivenUp: (@Sendable (Message, any Error) async throws -> Void)? = nil,
            _ handle: @escaping @Sendable (Message) async throws -> Void
        ) {
            self.consumer = consumer
            process = {
                try await consumer.run(
                    concurrency: concurrency, retry: retry, onGivenUp: onGivenUp, handle)
            }
        }

        /// Processes messages until the graceful shutdown, and stops the consumer.
        ///
        /// - Throws: ``NSQError/Code/cancelled`` if the task is cancelled.
        public func run() async throws {
            do {
                try await withGracefulShutdownHandler {
                    try await process()
                } onGracefulShutdown: { [consumer] in
                    // The last call of `stop()` below waits until this call has ended.
                    Task { await consumer.stop() }
                }
            } catch {
                await consumer.stop()
                throw error
            }
            await consumer.stop()
        }
    }
#endif
