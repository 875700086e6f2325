import Foundation
import TallyBasics
import UVLoop

/// Polls a cluster for the pages. All browsers share the polls, so the load on the cluster does not
/// depend on their number.
///
/// While no browser is connected, the cluster is polled once a minute, only for the charts.
package final class ClusterMonitor: Sendable {
    /// An event for the listeners.
    package enum Update: Sendable {
        /// There is a new snapshot, or a new entry of the action log.
        case changed
        case ended
    }

    private let api: AdminAPI
    private let shared = LockedValue(Shared())
    private let task: LockedValue<Task<Void, Never>?> = LockedValue(nil)

    fileprivate struct Shared {
        var snapshot = ClusterSnapshot()
        var history = ClusterHistory()
        var polledAt: ContinuousClock.Instant?
        var begunAt: ContinuousClock.Instant?
        var isWatched = false
        var mustPoll = false
        var wakeUp: CheckedContinuation<Void, Never>?
        var isStopping = false
        var listeners: [Int: @Sendable (Update) -> Void] = [:]
        var lastListener = 0
    }

    /// The time between two polls while a browser is connected.
    static let interval = Duration.seconds(1)
    /// The minimum time between the starts of two polls. A change or a new browser starts a poll
    /// early, but not before this time has passed.
    static let minInterval = Duration.milliseconds(500)
    /// The time between two polls while no browser is connected.
    static let idleInterval = Duration.seconds(60)
    /// The pause after a poll is at least this many times the CPU time of the poll. So polls of a
    /// large cluster use at most a twentieth of one CPU.
    private static let pausePerWork = 19
    /// The longest pause after a poll while a browser is connected.
    private static let maxPause = Duration.seconds(30)

    /// Starts to poll the cluster. Call ``stop()`` at the end.
    package init(_ api: AdminAPI) {
        self.api = api
        api.actionLog.setListener { [weak self] in self?.actionLogged() }
        let task = Task { [weak self] in
            while let delay = await self?.poll() { await self?.wait(delay) }
        }
        self.task.withLock { $0 = task }
    }

    /// The result of the last poll.
    package var snapshot: ClusterSnapshot { shared.withLock { $0.snapshot } }

    /// The points of a series; see ``ClusterHistory``.
    package func points(
        of key: ClusterHistory.Key, _ resolution: ClusterHistory.Resolution
    ) -> [ClusterHistory.Point] {
        shared.withLock { $0.history.points(of: key, resolution) }
    }

    /// Sets whether any browser is connected, which determines how often the cluster is polled.
    package func setWatched(_ isWatched: Bool) {
        let mustWake = shared.withLock { shared in
            defer { shared.isWatched = isWatched }
            return isWatched && !shared.isWatched
        }
        if mustWake { pollSoon() }
    }

    /// Starts the next poll as soon as ``minInterval`` allows it, for example after a change.
    package func pollSoon() {
        let waiting = shared.withLock { shared in
            shared.mustPoll = shared.wakeUp == nil
            defer { shared.wakeUp = nil }
            return shared.wakeUp
        }
        waiting?.resume()
    }

    /// Ends the polls, and sends ``Update/ended`` to the listeners. All requests of ``AdminAPI`` in
    /// progress fail, so that this method does not wait for a slow server.
    package func stop() async {
        let listeners = shared.withLock { shared in
            shared.isStopping = true
            defer { shared.listeners = [:] }
            return Array(shared.listeners.values)
        }
        for listener in listeners { listener(.ended) }
        let task = task.withLock { $0 }
        task?.cancel()
        pollSoon()
        await api.client.stop()
        await task?.value
    }

    // MARK: Listeners

    /// Calls `listener` on any thread after each poll and each change.
    ///
    /// - Returns: the number of the listener.
    package func addListener(_ listener: @escaping @Sendable (Update) -> Void) -> Int {
        shared.withLock { shared in
            shared.lastListener += 1
            shared.listeners[shared.lastListener] = listener
            return shared.lastListener
        }
    }

    package func removeListener(_ number: Int) {
        shared.withLock { $0.listeners[number] = nil }
    }

    private func notify() {
        let listeners = shared.withLock { Array($0.listeners.values) }
        for listener in listeners { listener(.changed) }
    }

    private func actionLogged() {
        notify()
        pollSoon()
    }

    // MARK: Polling

    private func wait(_ delay: Duration) async {
        let timer = Task { [weak self] in
            try? await Task.sleep(for: delay)
            if !Task.isCancelled { self?.pollSoon() }
        }
        await withCheckedContinuation { continuation in
            let isDue = shared.withLock { shared in
                let isDue = shared.mustPoll || shared.isStopping
                shared.mustPoll = false
                if !isDue { shared.wakeUp = continuation }
                return isDue
            }
            if isDue { continuation.resume() }
        }
        timer.cancel()
        guard let begunAt = shared.withLock({ $0.begunAt }) else { return }
        // This sleep ends early when the task is cancelled.
        try? await Task.sleep(until: begunAt + Self.minInterval, clock: .continuous)
    }

    /// Polls the cluster.
    ///
    /// - Returns: the time until the next poll; `nil` after ``stop()``.
    private func poll() async -> Duration? {
        guard !shared.withLock({ $0.isStopping }) else { return nil }
        let begin = ContinuousClock.now
        // The poll that begins now reads all earlier changes, so it fulfils an earlier request for
        // a poll.
        shared.withLock { shared in
            shared.mustPoll = false
            shared.begunAt = begin
        }
        let usedBefore = ProcessUsage.processorTime
        let polled = await Self.snapshot(of: api.reader)
        shared.withLock { $0.apply(polled, at: begin) }
        notify()
        // The CPU time includes other work of the process, so the pause may be longer than
        // necessary, but not shorter.
        let work = usedBefore.flatMap { before in
            ProcessUsage.processorTime.map { $0 - before }
        }
        guard shared.withLock({ $0.isWatched }) else { return Self.idleInterval }
        return max(Self.interval, min((work ?? .zero) * Self.pausePerWork, Self.maxPause))
    }

    private static func snapshot(
        of reader: ClusterReader
    ) async -> Result<ClusterSnapshot, UpstreamError> {
        let time = Int(Date.now.timeIntervalSince1970 * 1_000)
        do throws(UpstreamError) {
            let nodes = try await reader.nodes(withTopics: false)
            var errors = nodes.errors
            var names: [String] = []
            if !reader.lookupds.isEmpty {
                let topics = try await reader.topics()
                names = topics.value
                errors += topics.errors
            }
            let all = await reader.statisticsByNode(of: nodes.value)
            errors += all.errors
            var snapshot = ClusterSnapshot(
                nodes: nodes.value, names: names, parts: all.value.flatMap(\.topics),
                reached: Set(all.value.map(\.node)), time: time)
            var seen: Set<String> = []
            snapshot.warnings = errors.map(\.description).filter { seen.insert($0).inserted }
            return .success(snapshot)
        } catch {
            return .failure(error)
        }
    }
}

extension ClusterMonitor.Shared {
    mutating func apply(
        _ polled: Result<ClusterSnapshot, UpstreamError>, at instant: ContinuousClock.Instant
    ) {
        switch polled {
        case .failure(let error):
            snapshot.problem = "\(error)"
            snapshot.number += 1
        case .success(var new):
            new.number = snapshot.number + 1
            if let polledAt {
                new.setRates(since: snapshot, seconds: (instant - polledAt) / .seconds(1))
            }
            polledAt = instant
            history.record(new)
            snapshot = new
        }
    }
}
