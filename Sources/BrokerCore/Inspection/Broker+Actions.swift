import NSQWire
import TallyBasics

/// Changes of single messages of a channel.
extension Broker {
    /// Changes one message.
    ///
    /// - Parameters:
    ///   - attempts: the number of deliveries that the caller has seen. If the channel has
    ///     delivered the message since then, the change is refused.
    ///   - completion: runs once the change is as durable as an acknowledged publish, with the error of
    ///     a failed write. A move syncs the published message before that. It must not call the broker. It does not run if this method throws.
    package func perform(
        _ action: MessageAction, on id: MessageID, attempts: UInt16, of topic: TopicName,
        _ channel: ChannelName, at now: Timestamp,
        _ completion: @escaping (MessageLogError?) -> Void
    ) throws(InspectionError) {
        context.setTime(now)
        let queue = try queue(topic, channel)
        guard case .channel(let channel) = queue else { throw .channelNotFound }
        let (segment, message) = try find(id, in: queue)
        guard message.attempts == attempts else { throw .attemptsDiffer(message.attempts) }
        guard !isMoving(message, segment, channel) else { throw .messageNotFound }
        guard hasMemory(for: DeliveryTracker.changeBytes) || action == .delete else {
            throw .memoryIsFull
        }
        guard case .move(let destination) = action else {
            change(message, of: segment, action, in: channel)
            return whenDurable(completion)
        }
        let destinationTopic = try self.destination(destination, of: channel)
        var failure: InspectionError? = .messageNotFound
        do throws(MessageLogError) {
            try channel.topic.withResident(segment) {
                guard segment.contains(message.index) else { return }
                failure = publish(segment.frame(at: message.index), to: destinationTopic)
            }
        } catch {
            throw .unreadable(error)
        }
        if let failure { throw failure }
        finishOnceSynced([id], of: channel, completion)
    }

    /// Executes an action other than a move.
    func change(
        _ message: FoundMessage, of segment: Segment, _ action: MessageAction, in channel: Channel
    ) {
        switch action {
        case .delete: channel.delete(message, of: segment)
        case .requeue: channel.requeue(message, of: segment)
        case .defer(let delay): channel.defer(message, of: segment, by: delay)
        case .move: preconditionFailure("a move publishes first")
        }
    }

    // MARK: Moving

    /// Returns the topic to which messages of a channel move, and creates it if necessary.
    func destination(_ name: TopicName, of channel: Channel) throws(InspectionError) -> Topic {
        guard channel.topic.name != name else { throw .sameTopic }
        guard publishRefusal == nil else { throw .stopping }
        guard hasCapacity(for: name) else { throw .tooManyTopics }
        return topic(name)
    }

    /// Publishes the body of a message.
    ///
    /// - Returns: the reason why the broker does not accept the message; `nil` if it is published.
    func publish(_ frame: Bytes, to topic: Topic) -> InspectionError? {
        let body = frame.view(MessageFrame.bodyOffset..<frame.count)
        guard topic.hasCapacity else { return .destinationIsFull }
        guard hasMemory(for: Segment.byteCount(bodyBytes: body.count)) else { return .memoryIsFull }
        topic.publish(body)
        return nil
    }

    /// Finishes published messages in their channel once the publish is synced. Messages that a
    /// consumer has finished in the meantime are skipped.
    ///
    /// - Parameter completion: runs once the end of the move is durable.
    func finishOnceSynced(
        _ ids: [MessageID], of channel: Channel,
        _ completion: @escaping (MessageLogError?) -> Void
    ) {
        whenSynced(pendingMoves.add(PendingMoves.Batch(ids, of: channel, completion)))
    }

    /// Finishes the moved messages whose publish is synced.
    func finishMoves() {
        for batch in pendingMoves.removeCompleted() {
            guard batch.failure == nil, !batch.channel.isDeleted else {
                batch.complete()
                continue
            }
            for id in batch.ids {
                guard let (segment, message) = try? find(id, in: .channel(batch.channel)) else {
                    continue
                }
                batch.channel.delete(message, of: segment)
            }
            // If this write fails, the messages are in both topics after a restart.
            whenDurable { _ in batch.complete() }
        }
    }
}

extension Topic {
    /// `false` if the topic would discard a published message.
    fileprivate var hasCapacity: Bool {
        !name.isEphemeral || !holdsMessages || depth < context.options.memoryQueueSize
    }
}
