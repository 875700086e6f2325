extension Jobs {
    /// An nsqd that a ``Jobs`` object starts, and that ``Jobs/stop()`` stops.
    ///
    /// The module `NSQJobsEmbedded` provides an nsqd in this process:
    ///
    /// ```swift
    /// import NSQJobsEmbedded
    ///
    /// let jobs = try await Jobs(store: .sqlite("jobs.sqlite"), nsqd: .embedded)
    /// ```
    public struct NSQD: Sendable {
        /// A running nsqd.
        package struct Running: Sendable {
            let address: String
            let startsEmpty: Bool
            let stop: @Sendable () async -> Void

            /// - Parameter startsEmpty: `true` if the nsqd has kept no messages of an earlier run.
            package init(
                address: String, startsEmpty: Bool, stop: @escaping @Sendable () async -> Void
            ) {
                self.address = address
                self.startsEmpty = startsEmpty
                self.stop = stop
            }
        }

        let start: @Sendable () async throws(JobsError) -> Running

        /// - Parameter start: starts the nsqd.
        package init(_ start: @escaping @Sendable () async throws(JobsError) -> Running) {
            self.start = start
        }
    }

    /// Starts an nsqd, and opens a store.
    ///
    /// - Parameters:
    ///   - store: where the jobs are stored.
    ///   - nsqd: the nsqd, which ``stop()`` stops.
    ///   - configuration: settings other than the defaults.
    /// - Throws: ``JobsError/Code/storeUnusable``, ``JobsError/Code/invalidOption``,
    ///   ``JobsError/Code/brokerFailed`` if the nsqd cannot start.
    public convenience init(
        store: Store, nsqd: NSQD, configuration: Configuration = Configuration()
    ) async throws(JobsError) {
        let running = try await nsqd.start()
        var configuration = configuration
        configuration.nsqdStartsEmpty = running.startsEmpty
        do throws(JobsError) {
            try await self.init(
                store: store, nsqds: [running.address], configuration: configuration,
                clock: .system, stopNSQD: running.stop)
        } catch {
            await running.stop()
            throw error
        }
    }

    /// The addresses of the nsqds to which jobs are published, for workers in other processes; empty
    /// without NSQ.
    public var nsqdAddresses: [String] { broker?.nsqds ?? [] }
}
