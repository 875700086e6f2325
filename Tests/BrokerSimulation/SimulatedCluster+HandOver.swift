import BrokerCore
import NSQWire
import TallyBasics

/// Random hand-overs to another broker, which acknowledges everything, and from another broker.
extension SimulatedCluster {
    func handOver() {
        let topic = Self.topics[Int.random(in: 0...1, using: &random)]
        var limits = HandOverLimits()
        limits.messages = [1, 5, 1_000].randomElement(using: &random)!
        limits.steps = [1, 20_000].randomElement(using: &random)!
        limits.hasDelays = Bool.random(using: &random)
        var position = HandOverPosition()
        broker.suspendDeliveries(true, of: topic, at: now)
        for _ in 0..<Int.random(in: 1...10, using: &random) {
            let found = broker.nextHandOver(of: topic, from: &position, limits, at: now)
            // The other broker is sometimes away.
            guard case .batch(let batch) = found, chance(80) else { continue }
            let numbers = batch.messages.compactMap { MessageBody.number(of: $0.body) }
            trace("move \(numbers) of \(topic) \(batch.channels?.map(\.text) ?? [])")
            if numbers.count < batch.messages.count { fail("an invalid message is moved") }
            broker.finishHandOver(batch, at: now)
            checker.handedOver(numbers, of: topic, channels: batch.channels)
        }
        broker.suspendDeliveries(false, of: topic, at: now)
    }

    func receiveHandOver() {
        let topic = Self.topics[Int.random(in: 0...1, using: &random)]
        let channels = chance(50) ? [Self.channels[0]] : Array(Self.channels[0...1])
        let isForChannels = Bool.random(using: &random)
        let number = checker.newMessage(to: topic, bodyBytes: MessageBody.headBytes)
        let body = MessageBody.bytes(number, count: MessageBody.headBytes)
        let delay = chance(50) ? 0 : Int64.random(in: 1...4_000, using: &random) * 1_000_000
        trace("receive \(number) for \(topic) \(channels) only: \(isForChannels)")
        let refusal = receive(
            body, after: .nanoseconds(delay), topic, channels, isForChannels: isForChannels)
        if case .publish = refusal { return }
        if case .tooMany = refusal { return }
        for channel in channels { checker.create(channel, of: topic) }
        guard refusal == nil else { return }
        let due = delay > 0 ? now.wall + delay : 0
        if isForChannels {
            checker.published(number, to: topic, channels: channels, due: due)
        } else {
            checker.published([number], to: topic, due: due)
        }
        acknowledgeWhenDurable(number)
    }

    private func receive(
        _ body: [UInt8], after delay: Duration, _ topic: TopicName, _ channels: [ChannelName],
        isForChannels: Bool
    ) -> HandOverRefusal? {
        body.withUnsafeBytes { bytes -> HandOverRefusal? in
            do throws(HandOverRefusal) {
                try broker.receiveHandOver(
                    [(bytes, delay)], to: topic, channels: channels,
                    isForChannels: isForChannels, at: now)
                return nil
            } catch {
                return error
            }
        }
    }

    private func acknowledgeWhenDurable(_ number: Int) {
        let broker = broker
        broker.whenDurable { [unowned self] error in
            guard broker === self.broker, error == nil else { return }
            checker.acknowledged([number])
        }
    }
}

extension DeliveryChecker {
    /// Records messages that another broker has acknowledged.
    ///
    /// - Parameter channels: the channels that have not finished them; `nil` if the topic holds them.
    mutating func handedOver(_ numbers: [Int], of name: TopicName, channels: [ChannelName]?) {
        guard let topic = topics[name] else { return }
        guard let channels else { return handedOver(numbers, heldBy: name) }
        for channel in channels {
            for number in numbers where topic.channels[channel]?.copies[number] != nil {
                topics[name]!.channels[channel]!.copies[number]!.state = .gone(stamp)
            }
        }
    }

    private mutating func handedOver(_ numbers: [Int], heldBy name: TopicName) {
        let names = topics[name]!.names
        topics[name]!.held.removeAll { numbers.contains($0) }
        for number in numbers { topics[name]!.possiblyHeld.remove(number) }
        for channel in names {
            for number in numbers {
                topics[name]!.channels[channel]!.copies[number] = Copy(
                    state: channel.isEphemeral ? .possible : .gone(stamp))
            }
        }
        if names.allSatisfy(\.isEphemeral) {
            // Without a durable channel, the messages may be back after any crash.
            topics[name]!.possiblyHeld.formUnion(numbers)
            topics[name]!.possiblyBack.formUnion(numbers)
        } else {
            // If the channels' records are lost, the topic holds the messages again.
            topics[name]!.discarded += numbers.map { ($0, stamp) }
        }
    }

    /// Records a publish for some channels only. A crash may give the message to the others.
    mutating func published(
        _ number: Int, to name: TopicName, channels: [ChannelName], due: Int64
    ) {
        self[number].due = due
        self[number].stamp = stamp
        topics[name]!.all.append(number)
        for channel in topics[name]!.names {
            topics[name]!.channels[channel]!.copies[number] = Copy(
                state: channels.contains(channel) ? .expected : .possible)
        }
    }
}
