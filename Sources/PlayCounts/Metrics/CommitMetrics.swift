import TallyBasics

/// The commits of a processor since its start.
package struct CommitMetrics: Sendable {
    /// The duration of each commit that succeeded, in seconds, with the wait for the store's thread.
    package private(set) var durations = PrometheusHistogram(bounds: [
        "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1", "3", "10",
    ])
    /// The number of plays that each commit of received messages counted.
    package private(set) var plays = PrometheusHistogram(bounds: [
        "1", "3", "10", "30", "100", "300", "1000", "3000", "10000",
    ])
    /// The number of failed commits, with the failed repetitions.
    package private(set) var failures = 0

    package init() {}

    /// Records a commit with changes that succeeded.
    ///
    /// - Parameter plays: the number of plays that it counted; `nil` if it contains no messages.
    mutating func recordSuccess(after duration: Duration, plays: Int?) {
        durations.add(duration)
        if let plays { self.plays.add(Double(plays)) }
    }

    mutating func recordFailure() { failures += 1 }
}
