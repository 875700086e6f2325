import TallyBasics

/// The calls to one client since the start of the processor, and the counts that the client has not
/// accepted yet.
package struct ClientMetrics: Sendable {
    /// The client's name, which contains no secrets.
    package let client: String
    /// The number of accepted calls with a count that had to be published immediately.
    package private(set) var immediateCalls = 0
    /// The number of other accepted calls.
    package private(set) var batchedCalls = 0
    /// The number of calls that the client did not accept.
    package private(set) var failedCalls = 0
    /// The number of repeated attempts after a failed call.
    package private(set) var retries = 0
    /// The time in seconds from the receipt of an immediate play to the end of the accepted call
    /// that published it. Each immediate count in a call is one sample.
    package private(set) var immediateLatency = PrometheusHistogram(bounds: [
        "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10",
        "60",
    ])
    /// The number of videos whose latest count the client has not accepted.
    package internal(set) var unpublishedVideos = 0
    /// The time since the receipt of the oldest play that no accepted call contains; zero if there
    /// is none.
    package internal(set) var oldestUnpublished = Duration.zero

    package init(of client: String) { self.client = client }

    mutating func recordAccepted(isImmediate: Bool) {
        if isImmediate { immediateCalls += 1 } else { batchedCalls += 1 }
    }

    /// Records the latency of an immediate count of an accepted call.
    mutating func recordLatency(_ latency: Duration) { immediateLatency.add(latency) }

    mutating func recordFailure() { failedCalls += 1 }

    mutating func recordRetry() { retries += 1 }
}
