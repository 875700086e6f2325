#if ServiceLifecycleSupport
    import ServiceLifecycle

    /// A broker is a service that stops at the graceful shutdown. A service group must list it before its
    /// clients, because the last service is shut down first.
    extension EmbeddedBroker: Service {
        /// Waits for the graceful shutdown or the cancellation of the task, and stops the broker.
        public func run() async {
            try? await gracefulShutdown()
            await stop()
        }
    }
#endif
