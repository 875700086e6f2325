import BrokerCore
import NSQWire
import TallyBasics

/// Changes of messages by an administrator, who sees them without receiving them.
extension SimulatedCluster {
    /// The topic to which messages move.
    static let movedTopic = TopicName("moved")!

    /// The move of a message whose end is not known.
    struct Move {
        var number: Int
        var newNumber: Int
        var topic: TopicName
        var channel: ChannelName
        /// The channel certainly had the message before the move.
        var wasExpected: Bool
    }

    /// Changes some messages of a channel.
    func administer() {
        let topic = Self.topics[Int.random(in: 0...2, using: &random)]
        guard let names = checker.topics[topic]?.names,
            let channel = names.randomElement(using: &random)
        else { return }
        for message in page(of: topic, channel) where chance(40) {
            guard let number = message.body.withUnsafeBytes({ MessageBody.number(of: $0) }) else {
                return fail("a message that was never published")
            }
            change(message, number, in: topic, channel)
        }
    }

    /// Reads some messages of a channel; none if the disk fails.
    private func page(of topic: TopicName, _ channel: ChannelName) -> [UnfinishedMessage] {
        var filter = MessageFilter()
        if chance(30) {
            filter.states = [[.ready], [.inFlight], [.deferred]].randomElement(using: &random)!
        }
        if chance(20) { filter.minAttempts = 1 }
        var page = MessagePage()
        let limit = Int.random(in: 1...20, using: &random)
        do throws(InspectionError) {
            var portions = 0
            while try !broker.addPortion(
                of: topic, channel, filter, limit: limit, bodyBytes: MessageBody.headBytes,
                to: &page, at: now), portions < 100
            {
                portions += 1
            }
        } catch {
            trace("peek failed: \(error)")
            return []
        }
        return page.messages
    }

    private func change(
        _ message: UnfinishedMessage, _ number: Int, in topic: TopicName, _ channel: ChannelName
    ) {
        if chance(25), checker.movedNumbers[number] == nil {
            return move(message, number, in: topic, channel)
        }
        // A message that was published with a delay must not be delivered before its end.
        let delay = max(
            Int64.random(in: 1...4_000, using: &random) * 1_000_000,
            checker[number].due - now.wall)
        let action: MessageAction =
            switch Int.random(in: 0..<3, using: &random) {
            case 0: .delete
            case 1 where checker[number].due <= now.wall: .requeue
            default: .defer(.nanoseconds(delay))
            }
        trace("\(action) \(number) of \(topic)/\(channel)")
        do throws(InspectionError) {
            try broker.perform(
                action, on: message.id, attempts: message.attempts, of: topic, channel, at: now
            ) { _ in }
        } catch .messageNotFound
            where moves.contains(where: {
                $0.number == number && $0.topic == topic && $0.channel == channel
            })
        {
            return
        } catch .messageNotFound where checker.hasFailedSets {
            // Its copy may be in the failed set already.
            return
        } catch .memoryIsFull where action != .delete {
            return trace("the memory is full")
        } catch {
            return fail("message \(number) cannot be changed: \(error)")
        }
        if action != .requeue || message.state != .ready {
            for client in clients where client.hasSubscribed(to: topic, channel) {
                client.held[number] = nil
            }
        }
        switch action {
        case .delete: checker.finished(number, topic, channel, isCertain: true)
        case .requeue: checker.requeuedNow(number, topic, channel)
        case .defer: checker.requeued(number, topic, channel, until: now.wall + delay)
        case .move: break
        }
    }

    // MARK: Moving

    private func move(
        _ message: UnfinishedMessage, _ number: Int, in topic: TopicName, _ channel: ChannelName
    ) {
        // A message in flight could be finished meanwhile.
        if case .inFlight = message.state { return }
        guard let copy = checker.topics[topic]?.channels[channel]?.copies[number] else { return }
        var wasExpected = false
        if case .expected = copy.state { wasExpected = true }
        trace("move \(number) of \(topic)/\(channel)")
        checker.startedTopics.insert(Self.movedTopic)
        checker.create(Self.movedTopic)
        let newNumber = checker.newMessage(to: Self.movedTopic, moving: number)
        do throws(InspectionError) {
            try broker.perform(
                .move(Self.movedTopic), on: message.id, attempts: message.attempts, of: topic,
                channel, at: now
            ) { [unowned self] in didMove(newNumber, $0) }
        } catch {
            return trace("move failed: \(error)")
        }
        checker.published([newNumber], to: Self.movedTopic, due: 0)
        checker.finished(number, topic, channel, isCertain: false)
        moves.append(
            Move(
                number: number, newNumber: newNumber, topic: topic, channel: channel,
                wasExpected: wasExpected))
    }

    private func didMove(_ newNumber: Int, _ failure: MessageLogError?) {
        guard let index = moves.firstIndex(where: { $0.newNumber == newNumber }) else { return }
        let move = moves.remove(at: index)
        trace("moved \(move.number): \(failure?.description ?? "done")")
        if let failure {
            // After a failed sync the message may exist.
            if !failure.description.contains("cannot sync") { checker.refused([newNumber]) }
        } else {
            checker.acknowledged([newNumber])
            checker.finished(move.number, move.topic, move.channel, isCertain: true)
        }
    }

    /// Forgets that clients have messages in flight that are being moved: the broker may have finished
    /// them.
    func forgetMovedInFlight() {
        for move in moves {
            for client in clients where client.hasSubscribed(to: move.topic, move.channel) {
                client.held[move.number] = nil
            }
        }
    }

    /// Checks that the messages of interrupted moves are in at least one of the two topics.
    func checkInterrupted(_ moves: [Move]) {
        // A message that was delivered in the other topic may have been finished there.
        for move in moves
        where move.wasExpected && !isDamaged && checker[move.newNumber].id == nil {
            guard let copy = checker.topics[move.topic]?.channels[move.channel],
                copy.exists, case .possible? = copy.copies[move.number]?.state,
                let isThere = contains(move.number, move.topic, move.channel),
                let isMoved = contains(move.number, Self.movedTopic, nil)
            else { continue }
            trace("interrupted move \(move.number): \(isThere), \(isMoved)")
            if !isThere, !isMoved { fail("message \(move.number) was lost by its move") }
        }
    }

    /// Returns `true` if a queue contains a message with this number in its body; `nil` if the disk fails.
    private func contains(
        _ number: Int, _ topic: TopicName, _ channel: ChannelName?
    ) -> Bool? {
        var filter = MessageFilter()
        filter.text = MessageBody.bytes(number, count: MessageBody.headBytes)
        var page = MessagePage()
        do throws(InspectionError) {
            while try !broker.addPortion(
                of: topic, channel, filter, limit: 1, bodyBytes: 0, to: &page, at: now)
            {}
            return !page.messages.isEmpty
        } catch .topicNotFound, .channelNotFound {
            return false
        } catch {
            return nil
        }
    }
}
