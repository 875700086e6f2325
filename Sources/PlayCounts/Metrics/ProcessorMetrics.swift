import TallyBasics

/// The state of a processor at one point in time, for monitoring.
package struct ProcessorMetrics: Sendable {
    /// Whether the processor runs, is being stopped, or has ended.
    package enum Phase: Sendable {
        case running, stopping, ended
    }

    package var phase = Phase.running
    /// The messages since the start, by outcome.
    package var statistics = PlayProcessor.Statistics()
    /// The sum of all counts in the store.
    package var storedPlays = 0
    /// The number of videos that have a play.
    package var videos = 0
    package var commits = CommitMetrics()
    /// The error of the last commit; `nil` if it has succeeded.
    package var lastCommitError: StoreError?
    /// The number of nsqds to which the processor is connected.
    package var connections = 0
    /// The number of received messages that are neither finished nor requeued.
    package var messagesInFlight = 0
    /// The time since the publish of the oldest received message that is not committed; zero if
    /// there is none.
    package var backlogAge = Duration.zero
    /// The clients whose accepted counts the store records, in the order of the command line.
    package var clients: [ClientMetrics] = []

    package init() {}

    /// The reason why no plays are counted at present; `nil` while counting works.
    ///
    /// An unreachable client is not a problem in this sense, because the store keeps the counts for
    /// it.
    package var problem: String? {
        switch phase {
        case .ended: return "counting has stopped" + (lastCommitError.map { ": \($0)" } ?? "")
        case .stopping: return "stopping"
        case .running: break
        }
        if let lastCommitError { return "\(lastCommitError)" }
        return connections == 0 ? "no connection to an nsqd" : nil
    }
}
