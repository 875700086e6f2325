import NSQJobs
import TallyBasics
import UVLoop

/// The page that shows background jobs live, and its API.
///
/// ```
/// store ──▶ JobsMonitor, a task that reads each second ──▶ JobsRoutes ──▶ EventStream ──▶ browsers
///                                                       one for each server, on its loop
/// ```
package final class JobsMonitor: Sendable {
    /// An event for the listeners: a reading of the store differs from the previous one, or the
    /// page stops.
    enum Update: Sendable {
        /// The JSON of an event.
        case changed([UInt8])
        case ended(reason: String?)
    }

    let jobs: Jobs
    private let shared = LockedValue(Shared())
    /// Performs the changes of many jobs.
    let runner: BulkRunner
    /// The time when this object was created, in milliseconds since 1970.
    let startedAtMilliseconds: Int64

    private struct Shared {
        var state = JobsPageState()
        var lastUpdate: [UInt8] = []
        var listeners: [Int: @Sendable (Update) -> Void] = [:]
        var lastListener = 0
        var task: Task<Void, Never>?
        var isReading = false
        var mustReadAgain = false
        var servers: [LoopHost<JobsServer>] = []
    }

    /// The time between two readings of the store.
    static let interval = Duration.seconds(1)
    /// The pause after a reading is at least this many times as long as the reading. So even a slow
    /// store is read for at most a fifth of the time.
    private static let pausePerWork = 4

    /// Starts to read the store. Call ``stop(reason:)`` at the end.
    package init(_ jobs: Jobs) {
        self.jobs = jobs
        startedAtMilliseconds = jobs.now().microseconds / 1_000
        runner = BulkRunner(jobs)
        let task = Task { [weak self] in
            while !Task.isCancelled {
                guard let delay = await self?.readAndPause() else { return }
                try? await Task.sleep(for: delay)
            }
        }
        shared.withLock { $0.task = task }
    }

    var state: JobsPageState { shared.withLock { $0.state } }

    /// Starts a server with the page and the API.
    ///
    /// - Parameter names: host names that the server accepts, besides `localhost` and numeric
    ///   addresses.
    /// - Returns: the bound address, with the port that the kernel assigned.
    /// - Throws: `UVError` if the address cannot be bound.
    package func serve(at address: SocketAddress, names: [String]) async throws -> SocketAddress {
        let (host, bound) = try await LoopHost.start(threadName: "jobs api") { loop in
            let server = JobsServer(self, names: names, on: loop)
            return (server, try server.listen(at: address))
        }
        shared.withLock { $0.servers.append(host) }
        return bound
    }

    /// Cancels the bulk operations, sends an `end` event to the browsers, and stops the servers.
    ///
    /// - Parameter reason: why the jobs are not served any more, as a sentence; `nil` if unknown.
    package func stop(reason: String? = nil) async {
        await runner.stop()
        let (task, listeners, servers) = shared.withLock { shared in
            defer { (shared.listeners, shared.servers) = ([:], []) }
            return (shared.task, shared.listeners.values.map { $0 }, shared.servers)
        }
        task?.cancel()
        for listener in listeners { listener(.ended(reason: reason)) }
        for server in servers { await server.stop() }
        await task?.value
    }

    // MARK: Listeners

    /// Calls `listener` on any thread after each change of the state.
    ///
    /// - Returns: the number of the listener.
    func addListener(_ listener: @escaping @Sendable (Update) -> Void) -> Int {
        shared.withLock { shared in
            shared.lastListener += 1
            shared.listeners[shared.lastListener] = listener
            return shared.lastListener
        }
    }

    func removeListener(_ number: Int) { shared.withLock { $0.listeners[number] = nil } }

    // MARK: Reading

    /// Reads the store.
    ///
    /// - Returns: the time until the next reading, shortly after the start of a second.
    private func readAndPause() async -> Duration {
        let begin = ContinuousClock.now
        await read()
        let pause = max(.milliseconds(100), (.now - begin) * Self.pausePerWork)
        let passed = Duration.microseconds(jobs.now().microseconds % 1_000_000)
        let rest = Self.interval - passed
        return (rest >= pause ? rest : rest + Self.interval) + .milliseconds(20)
    }

    /// Reads the store, for example after a change. A call during a reading causes one more reading
    /// afterwards, because the current one may not contain the change.
    func read() async {
        let isFirst = shared.withLock { shared in
            shared.mustReadAgain = shared.isReading
            defer { shared.isReading = true }
            return !shared.isReading
        }
        guard isFirst else { return }
        repeat {
            await readOnce()
        } while shared.withLock { shared in
            shared.isReading = shared.mustReadAgain
            shared.mustReadAgain = false
            return shared.isReading
        }
    }

    private func readOnce() async {
        var state = self.state
        do throws(JobsError) {
            guard let inspection = jobs.inspection else { return }
            let snapshot = try await inspection.snapshot()
            state.actions = try await inspection.actions(
                before: nil, limit: JobsPageState.maxActions)
            state.snapshot = snapshot
            state.time = jobs.now()
            state.history.record(snapshot.queues, at: state.time)
            state.problem = nil
        } catch {
            state.problem = error.reason
        }
        state.operations = runner.operations
        publish(state)
    }

    private func publish(_ state: JobsPageState) {
        let body = JobsPageJSON.body(of: state, allSeconds: false)
        let update = JobsPageJSON.update(body, at: state.time)
        let listeners = shared.withLock { shared in
            shared.state = state
            guard shared.lastUpdate != body else { return [] as [@Sendable (Update) -> Void] }
            shared.lastUpdate = body
            return Array(shared.listeners.values)
        }
        for listener in listeners { listener(.changed(update)) }
    }
}
