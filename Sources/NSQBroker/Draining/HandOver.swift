import BrokerCore
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// Moves the messages of a draining broker to another broker. The draining broker finishes a
/// message after the other broker has acknowledged it.
///
/// The deliveries of a topic are suspended while a batch of its messages is sent. Consumers can
/// still finish their messages in flight. While the other broker is unreachable, or refuses the
/// messages of a topic, the draining broker delivers them to its consumers.
final class HandOver {
    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    let destination: HandOverDestination
    let allowsDuplicates: Bool
    private var topics: [TopicName: TopicHandOver] = [:]
    private var identification = Identification()
    private(set) var acknowledgedCount = 0
    /// The topic whose hand-over was started last.
    private var lastBegun: TopicName?
    private var isEnded = false

    /// The state of the requests that identify the program at the address.
    private struct Identification {
        var isRequested = false
        /// `true` if the program must be identified again when no batch is being sent.
        var isOutdated = false
        var backoff = HandOver.backoff
        var retryAt = Int64.min
        var failure: String?
    }

    /// The maximum number of topics whose messages are moved at the same time.
    private static let maxActiveTopics = 4

    /// The delay before a repeated attempt: 100 ms, doubled up to 10 s.
    static var backoff: Backoff {
        Backoff(from: .milliseconds(100), upTo: .seconds(10), jitterSeed: nil)
    }

    init(to destination: HandOverDestination, allowsDuplicates: Bool, of server: BrokerServer) {
        self.destination = destination
        self.allowsDuplicates = allowsDuplicates
        self.server = server
    }

    var broker: Broker { server.broker }
    var loop: Loop { server.loop }
    var now: Timestamp { server.now }
    var logger: Logger { server.logger }

    /// The reason why the destination cannot be used; `nil` if it can, or if that is not known yet.
    var failure: String? { identification.failure }

    /// The reason why the messages of a topic are not moved; `nil` if they are.
    func failure(of topic: TopicName) -> String? { topics[topic]?.failure }

    // MARK: Progress

    /// Starts the hand-over of topics that have messages, up to the maximum number of topics.
    func poll() {
        guard destination.program != nil else { return identify() }
        var active = topics.values.filter(\.isActive).count
        if identification.isOutdated {
            guard active == 0 else { return }
            identification.isOutdated = false
            destination.forgetProgram()
            return identify()
        }
        // The topics are started in turn, so that failing topics do not block the others.
        let names = broker.handOverCounts.map(\.topic)
        let next = names.firstIndex { $0 > lastBegun ?? $0 } ?? 0
        for name in names[next...] + names[..<next] {
            guard active < Self.maxActiveTopics else { return }
            let topic = topics[name] ?? TopicHandOver(of: name, in: self)
            topics[name] = topic
            guard topic.begin() else { continue }
            lastBegun = name
            // A topic whose search has already ended counts too, because the search took time.
            active += 1
        }
    }

    /// Identifies the program at the address again, because it may have been replaced.
    func identifyAgain() {
        identification.isOutdated = true
        identification.retryAt = .min
    }

    private func identify() {
        guard !identification.isRequested, now.monotonic >= identification.retryAt else { return }
        identification.isRequested = true
        destination.identify { [weak self] result in
            guard let self, !isEnded else { return }
            identification.isRequested = false
            if case .failure(let failure) = result {
                identification.retryAt =
                    now.monotonic + identification.backoff.nextDelay().nanoseconds
                if identification.failure == nil {
                    logger.warning("DRAIN: \(destination.address): \(failure), retrying")
                }
                return identification.failure = "\(failure)"
            }
            identification.failure = nil
            logger.info(
                "DRAIN: moving messages to \(destination.program!) at \(destination.address)")
            poll()
        }
    }

    /// Resumes the deliveries of all topics of which no batch is being sent.
    func destinationFailed() { for topic in topics.values { topic.resumeDeliveries() } }

    /// Counts messages that the destination has acknowledged.
    func didAcknowledge(_ count: Int) { acknowledgedCount += count }

    // MARK: End

    /// Ends the hand-over. The messages of a batch that is being sent are still finished if the
    /// destination acknowledges them.
    func end() {
        isEnded = true
        for topic in topics.values { topic.end() }
    }

    /// `true` if the hand-over was ended, and no batch is being sent.
    var hasEnded: Bool { isEnded && topics.isEmpty }

    /// Returns `true` if `other` moves messages to the same address in the same way.
    func isSame(as other: HandOver) -> Bool {
        destination.address == other.destination.address
            && allowsDuplicates == other.allowsDuplicates
    }

    /// Removes a topic whose hand-over has ended.
    func didEnd(_ topic: TopicName) { topics[topic] = nil }

    /// Ends all requests before the broker stops.
    func stop() {
        isEnded = true
        for topic in topics.values { topic.stop() }
        topics = [:]
        destination.close()
    }
}
