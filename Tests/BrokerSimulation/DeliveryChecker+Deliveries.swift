import BrokerCore
import NSQWire
import TallyBasics

extension DeliveryChecker {
    /// A message that a consumer received.
    struct Delivery {
        var number: Int
        var id: MessageID
        var timestamp: Int64
        var attempts: UInt16
        var body: [UInt8]
        var topic: TopicName
        var channel: ChannelName
        /// `true` if the consumer has read the message late. The checker's state may then be newer
        /// than the delivery.
        var isLate: Bool
    }

    /// Checks a delivery and records it.
    ///
    /// - Returns: a description of the violation; `nil` if the delivery is correct.
    mutating func checkDelivery(_ delivery: Delivery, at now: Int64) -> String? {
        let number = delivery.number
        guard exists(number) else { return "message \(number) was never published" }
        if let violation = changed(delivery) { return violation }
        let (topic, channel) = (delivery.topic, delivery.channel)
        guard self[number].topic == topic else { return "message \(number) is not \(topic)'s" }
        guard var copy = topics[topic]?.channels[channel]?.copies[number] else {
            return delivery.isLate
                ? nil : "message \(number) does not belong to \(topic)/\(channel)"
        }
        if !delivery.isLate, let violation = unexpected(delivery, copy, now) { return violation }
        copy.notBefore = nil
        // The time at which a late delivery was logged is unknown.
        if !delivery.isLate { copy.attempts.append((delivery.attempts, stamp)) }
        topics[topic]!.channels[channel]!.copies[number] = copy
        return nil
    }

    /// Checks that the body is as published, and that ID and timestamp do not change.
    private mutating func changed(_ delivery: Delivery) -> String? {
        let number = delivery.number
        guard
            delivery.body
                == MessageBody.bytes(
                    self[number].bodyNumber, count: self[number].bodyBytes)
        else {
            return "the body of message \(number) has changed"
        }
        if let id = self[number].id {
            guard id == delivery.id, self[number].timestamp == delivery.timestamp else {
                return "message \(number) had the ID \(id), and has \(delivery.id)"
            }
        }
        self[number].id = delivery.id
        self[number].timestamp = delivery.timestamp
        return nil
    }

    private func unexpected(_ delivery: Delivery, _ copy: Copy, _ now: Int64) -> String? {
        let number = delivery.number
        let name = "\(delivery.topic)/\(delivery.channel)"
        if self[number].isRefused {
            return "message \(number) was rejected, and is delivered in \(name)"
        }
        if copy.isGone { return "message \(number) was finished in \(name), and is redelivered" }
        let lifetime = lifetimes[delivery.topic].nanoseconds
        if lifetime > 0, now - delivery.timestamp > lifetime, storesAllCopies || !keepsExpired {
            return "message \(number) has expired, and is delivered in \(name)"
        }
        if self[number].due > now { return "message \(number) is delivered too early in \(name)" }
        if let notBefore = copy.notBefore, notBefore.due > now {
            return "message \(number) was requeued, and is delivered too early in \(name)"
        }
        let limit = attemptLimits[delivery.topic, delivery.channel]
        if limit > 0, delivery.attempts > limit, storesAllCopies {
            return "message \(number) has \(delivery.attempts) attempts in \(name), of \(limit)"
        }
        let before = copy.attempts.map(\.count).max() ?? 0
        if delivery.attempts <= before {
            return
                "message \(number) had \(before) attempts in \(name), and has \(delivery.attempts)"
        }
        return nil
    }

    /// Records a FIN. If `isCertain` is `false`, its result is unknown.
    mutating func finished(
        _ number: Int, _ topic: TopicName, _ channel: ChannelName, isCertain: Bool
    ) {
        guard let copy = topics[topic]?.channels[channel]?.copies[number], !copy.isGone else {
            return
        }
        topics[topic]!.channels[channel]!.copies[number]!.state =
            isCertain ? .gone(stamp) : .possible
    }

    /// Records a REQ with a delay.
    mutating func requeued(
        _ number: Int, _ topic: TopicName, _ channel: ChannelName, until due: Int64
    ) {
        guard topics[topic]?.channels[channel]?.copies[number] != nil else { return }
        topics[topic]!.channels[channel]!.copies[number]!.notBefore = (due, stamp)
    }

    /// Records the end of a deferral.
    mutating func requeuedNow(_ number: Int, _ topic: TopicName, _ channel: ChannelName) {
        topics[topic]?.channels[channel]?.copies[number]?.notBefore = nil
    }

    /// The messages that must be delivered and were not finished, as text.
    var undelivered: [String] {
        var undelivered: [String] = []
        for name in topics.keys.sorted() {
            let topic = topics[name]!
            // All messages are older than the lifetime when the simulation ends.
            guard lifetimes[name] == .zero || keepsExpired else { continue }
            for number in topic.held where self[number].mustBeDelivered {
                undelivered.append(
                    "message \(number) of \(name), which was dispatched to no channel")
            }
            for channel in topic.names {
                for (number, copy) in topic.channels[channel]!.copies.sorted(by: { $0.key < $1.key }
                ) {
                    guard case .expected = copy.state, self[number].mustBeDelivered,
                        !canHaveFailed(number, name, channel)
                    else { continue }
                    undelivered.append("message \(number) of \(name)/\(channel)")
                }
            }
        }
        return undelivered
    }
}
