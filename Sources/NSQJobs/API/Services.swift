#if ServiceLifecycleSupport
    import ServiceLifecycle

    /// A `Jobs` object is a service: at the graceful shutdown, it publishes the stored jobs, and closes
    /// its connections and the store. A service group must list it before its workers, because a group
    /// shuts down its last service first.
    ///
    /// ```swift
    /// let group = ServiceGroup(
    ///     services: [jobs, worker], gracefulShutdownSignals: [.sigterm], logger: logger)
    /// try await group.run()
    /// ```
    extension Jobs: Service {
        /// Waits for the graceful shutdown or the cancellation of the task, and stops.
        public func run() async {
            try? await gracefulShutdown()
            await stop()
        }
    }

    /// A worker is a service that takes no more jobs after the graceful shutdown, and waits for the running
    /// ones up to ``JobWorker/Options/stopTimeout``.
    extension JobWorker: Service {}

    extension WorkerSession {
        func runUntilShutdown() async throws(JobsError) {
            let result: Result<Void, JobsError> = await withGracefulShutdownHandler {
                do throws(JobsError) {
                    return .success(try await run())
                } catch {
                    return .failure(error)
                }
            } onGracefulShutdown: {
                self.stop()
            }
            try result.get()
        }
    }
#else
    extension WorkerSession {
        func runUntilShutdown() async throws(JobsError) { try await run() }
    }
#endif
