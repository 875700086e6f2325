import UVLoop

/// The counters of a run. The run's threads change them, and a task that detects a standstill reads
/// them.
final class DemoCounters: Sendable {
    private let counters = LockedValue(StandstillDetector.Counters())

    func change(_ body: @Sendable (inout StandstillDetector.Counters) -> Void) {
        counters.withLock { body(&$0) }
    }

    /// Waits until the run has made no progress for `limit`.
    ///
    /// - Returns: a description of the standstill; `nil` if the task is cancelled first.
    func standstill(after limit: Duration) async -> String? {
        let clock = ContinuousClock()
        let start = clock.now
        let interval = min(limit / 4, .milliseconds(500))
        var detector = StandstillDetector(limit: limit, longestStep: interval * 2, at: .zero)
        while (try? await Task.sleep(for: interval)) != nil {
            let counters = counters.withLock { $0 }
            if let text = detector.check(counters, at: clock.now - start) { return text }
        }
        return nil
    }
}
