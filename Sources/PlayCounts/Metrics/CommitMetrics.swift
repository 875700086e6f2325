import TallyBasics

/// The commits of a processor since its start.
package struct CommitMetrics: Sendable {
    /// The duration of each successful commit in seconds, including the wait for the store's
    /// thread.
    package private(set) var durations = PrometheusHistogram(bounds: [
        "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1", "3", "10",
    ])
    /// The number of counted plays in each commit that contained received messages.
    package private(set) var plays = PrometheusHistogram(bounds: [
        "1", "3", "10", "30", "100", "300", "1000", "3000", "10000",
    ])
    /// The number of failed commits. A repetition that fails counts again.
    package private(set) var failures = 0

    package init() {}

    /// Records a successful commit that contained changes.
    ///
    /// - Parameter plays: the number of counted plays in the commit; `nil` if it contains no
    ///   messages.
    mutating func recordSuccess(after duration: Duration, plays: Int?) {
        durations.add(duration)
        if let plays { self.plays.add(Double(plays)) }
    }

    mutating func recordFailure() { failures += 1 }
}
