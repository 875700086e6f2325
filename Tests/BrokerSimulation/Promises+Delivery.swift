import BrokerCore
import NSQWire

extension Promises {
    /// A message as a consumer was sent it.
    struct Delivery {
        var number: Int
        var id: MessageID
        var timestamp: Int64
        var attempts: UInt16
        var body: [UInt8]
        var topic: TopicName
        var channel: ChannelName
        /// It may have left the broker long ago, and what is known by now is younger.
        var isLate: Bool
    }

    /// - Returns: what is wrong with it, if anything is.
    mutating func delivered(_ delivery: Delivery, at now: Int64) -> String? {
        let number = delivery.number
        guard known(number) else { return "a message that nobody published: \(number)" }
        if let wrong = changed(delivery) { return wrong }
        let (topic, channel) = (delivery.topic, delivery.channel)
        guard self[number].topic == topic else { return "message \(number) is not \(topic)'s" }
        guard var copy = topics[topic]?.channels[channel]?.copies[number] else {
            return delivery.isLate ? nil : "message \(number) is none of \(topic)/\(channel)'s"
        }
        if !delivery.isLate, let wrong = unexpected(delivery, copy, now) { return wrong }
        copy.notBefore = nil
        // When a late one was noted is not known.
        if !delivery.isLate { copy.attempts.append((delivery.attempts, stamp)) }
        topics[topic]!.channels[channel]!.copies[number] = copy
        return nil
    }

    /// Its bytes are what was published, and its ID and timestamp what they always were.
    private mutating func changed(_ delivery: Delivery) -> String? {
        let number = delivery.number
        guard delivery.body == MessageBody.bytes(number, count: self[number].bodyBytes) else {
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
        if self[number].isRefused { return "message \(number) was refused, and comes in \(name)" }
        if copy.isGone { return "message \(number) was finished in \(name), and comes again" }
        if self[number].due > now { return "message \(number) comes too early in \(name)" }
        if let notBefore = copy.notBefore, notBefore.due > now {
            return "message \(number) was requeued, and comes too early in \(name)"
        }
        let before = copy.attempts.map(\.count).max() ?? 0
        if delivery.attempts <= before {
            return
                "message \(number) had \(before) attempts in \(name), and has \(delivery.attempts)"
        }
        return nil
    }

    /// FIN: whether it succeeded may be unknown.
    mutating func finished(
        _ number: Int, _ topic: TopicName, _ channel: ChannelName, isCertain: Bool
    ) {
        guard let copy = topics[topic]?.channels[channel]?.copies[number], !copy.isGone else {
            return
        }
        topics[topic]!.channels[channel]!.copies[number]!.state =
            isCertain ? .gone(stamp) : .possible
    }

    /// REQ with a delay.
    mutating func requeued(
        _ number: Int, _ topic: TopicName, _ channel: ChannelName, until due: Int64
    ) {
        guard topics[topic]?.channels[channel]?.copies[number] != nil else { return }
        topics[topic]!.channels[channel]!.copies[number]!.notBefore = (due, stamp)
    }

    /// What was promised and has not come to its end.
    var owed: [String] {
        var owed: [String] = []
        for name in topics.keys.sorted() {
            let topic = topics[name]!
            for number in topic.held where self[number].isOwed {
                owed.append("message \(number) of \(name), which no channel was given")
            }
            for channel in topic.names {
                for (number, copy) in topic.channels[channel]!.copies.sorted(by: { $0.key < $1.key }
                ) {
                    guard case .expected = copy.state, self[number].isOwed else { continue }
                    owed.append("message \(number) of \(name)/\(channel)")
                }
            }
        }
        return owed
    }
}
