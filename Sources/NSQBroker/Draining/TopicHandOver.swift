import BrokerCore
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The hand-over of one topic's messages in batches. Each batch is sent after the destination has
/// acknowledged the previous one.
final class TopicHandOver {
    private let name: TopicName
    // The hand-over owns this object, and lives as long as its requests.
    private let handOver: HandOver
    private var state = State.idle
    private var position = HandOverPosition()
    private var backoff = HandOver.backoff
    /// The reason why a batch was skipped since the search began at the start of the topic; `nil`
    /// if none was skipped.
    private var refusal: String?
    private(set) var failure: String?

    private enum State {
        /// No batch is being sent. The next search begins at this time at the earliest, on the
        /// monotonic clock in nanoseconds.
        case waiting(until: Int64)
        /// A search continues in the next loop iteration, or a batch is being sent.
        case active
        /// The hand-over ends after the current search or batch.
        case ending
        case stopped

        static let idle = State.waiting(until: .min)
    }

    /// The time after which messages that a destination cannot receive are examined again.
    private static let refusalTime = Duration.seconds(2)

    init(of name: TopicName, in handOver: HandOver) {
        self.name = name
        self.handOver = handOver
    }

    var isActive: Bool { if case .active = state { true } else { false } }

    private var broker: Broker { handOver.broker }
    private var destination: HandOverDestination { handOver.destination }

    private var limits: HandOverLimits {
        var limits = HandOverLimits()
        if case .nsqd = destination.program { limits.hasDelays = false }
        return limits
    }

    // MARK: Batches

    /// Starts to search for messages and to send them, unless the topic is active or must wait.
    ///
    /// - Returns: `true` if a search was started.
    func begin() -> Bool {
        guard case .waiting(let time) = state, handOver.now.monotonic >= time else { return false }
        state = .active
        search()
        return true
    }

    private func search() {
        guard isActive else { return finishEnd() }
        // If the previous batch was refused, the deliveries were resumed.
        broker.suspendDeliveries(true, of: name, at: handOver.now)
        switch broker.nextHandOver(of: name, from: &position, limits, at: handOver.now) {
        case .batch(let batch): check(batch)
        case .unfinished: handOver.loop.runInNextIteration { self.search() }
        case .unreadable: fail("the messages cannot be read from disk")
        case .end: finishPass()
        }
    }

    private func finishPass() {
        position = HandOverPosition()
        failure = refusal
        let isRefused = refusal != nil
        refusal = nil
        if isRefused { return wait(Self.refusalTime) }
        // The deliveries stay suspended until a request fails, so that messages that are requeued
        // later are moved too.
        state = .waiting(until: handOver.now.monotonic)
    }

    /// Resumes the deliveries until the next search.
    private func wait(_ delay: Duration) {
        state = .waiting(until: handOver.now.monotonic + delay.nanoseconds)
        broker.suspendDeliveries(false, of: name, at: handOver.now)
    }

    private func fail(_ reason: String) {
        guard isActive else { return finishEnd() }
        if failure == nil {
            handOver.logger.warning("DRAIN: TOPIC(\(name)): \(reason), retrying")
        }
        failure = reason
        refusal = nil
        // The next search begins at the start of the topic, and finds the batch again.
        position = HandOverPosition()
        wait(backoff.nextDelay())
        handOver.destinationFailed()
    }

    /// Resumes the deliveries, unless a search is running or a batch is being sent.
    func resumeDeliveries() {
        guard case .waiting = state else { return }
        broker.suspendDeliveries(false, of: name, at: handOver.now)
    }

    /// Ends the hand-over of the topic, after the response to a batch that is being sent.
    func end() {
        let wasActive = isActive
        state = .ending
        if !wasActive { finishEnd() }
    }

    private func finishEnd() {
        guard case .ending = state else { return }
        stop()
        broker.suspendDeliveries(false, of: name, at: handOver.now)
        handOver.didEnd(name)
    }

    /// Prevents further searches and requests.
    func stop() { state = .stopped }

    // MARK: Requests

    /// Publishes a batch if the destination dispatches it to the right channels.
    private func check(_ batch: HandOverBatch) {
        let all = broker.durableChannels(of: name)
        guard case .nsqd = destination.program else { return publish(batch, all: all) }
        destination.channels(of: name, creating: all, at: handOver.now.monotonic) { result in
            switch result {
            case .failure(let failure): self.fail("\(failure)")
            case .success(let names):
                guard self.isActive else { return self.finishEnd() }
                guard self.handOver.allowsDuplicates || batch.reachesExactly(names) else {
                    return self.refuse(batch, names)
                }
                self.publish(batch, all: all)
            }
        }
    }

    /// Skips a batch that an nsqd would also dispatch to other channels.
    private func refuse(_ batch: HandOverBatch, _ names: Set<ChannelName>) {
        let unfinished = (batch.channels ?? []).map(\.text).joined(separator: ", ")
        let others = names.subtracting(batch.channels ?? []).sorted().map(\.text)
        refusal =
            "\(destination.program!) would give messages for \(unfinished) also to "
            + "\(others.joined(separator: ", ")); consume them here, or allow duplicates"
        failure = refusal
        // The deliveries are resumed until the search continues, because only consumers can finish
        // the messages of the batch. The search continues in the next iteration, because a direct
        // call could recurse: the channels at the destination may be known already.
        broker.suspendDeliveries(false, of: name, at: handOver.now)
        handOver.loop.runInNextIteration { self.search() }
    }

    private func publish(_ batch: HandOverBatch, all: [ChannelName]) {
        destination.publish(batch, all: all) { result in
            switch result {
            case .failure(let failure): self.fail("\(failure)")
            case .success:
                if case .stopped = self.state { return }
                self.broker.finishHandOver(batch, at: self.handOver.now)
                self.handOver.didAcknowledge(batch.messages.count)
                self.backoff.reset()
                self.failure = nil
                self.search()
            }
        }
    }
}

extension HandOverBatch {
    /// Returns `true` if a message to all these channels reaches the channels of the batch and no others.
    fileprivate func reachesExactly(_ names: Set<ChannelName>) -> Bool {
        channels.map { Set($0) == names } ?? true
    }
}
