import NSQWire
import TallyBasics

/// The failed sets of channels. A failed set contains the messages that were delivered as often as
/// the channel's limit permits, and with ``BrokerOptions/keepsExpired`` those that have expired.
extension Broker {
    /// Sets the limit of attempts of a channel, until the channel is deleted or the broker stops.
    ///
    /// - Parameter limit: the number of deliveries after which a message fails; 0 for no limit.
    /// - Returns: `false` if the channel does not exist, or is ephemeral.
    package func setMaxAttempts(
        _ limit: Int, of topic: TopicName, _ channel: ChannelName, at now: Timestamp
    ) -> Bool {
        context.setTime(now)
        guard let channel = topics[topic]?.channel(channel), !topic.isEphemeral,
            !channel.name.isEphemeral
        else { return false }
        channel.setMaxAttempts(limit)
        return true
    }

    // MARK: Moving failed messages

    /// Publishes the messages that have failed in this iteration to their failed sets. A message whose
    /// copy cannot be stored now is delivered once more when it is next due.
    func publishFailures() {
        for (source, message) in context.moves.drainFailures() where !source.channel.isDeleted {
            let name = FailedSet.topic(of: message.channel, message.topic)
            let bytes = message.encoded
            guard hasCapacity(for: name), hasCapacity(for: FailedSet.channel, of: name),
                hasMemory(for: Segment.byteCount(bodyBytes: bytes.count))
            else {
                context.moves.pauseFailures(at: context.now.monotonic)
                continue
            }
            let topic = topic(name)
            _ = channel(FailedSet.channel, of: topic)
            move(source, message.reason) { bytes.withUnsafeBytes { topic.publish($0) } }
        }
    }

    /// Publishes the copy of a message. The message is finished when the copy is synced.
    ///
    /// - Parameter reason: the reason of a message that has failed; `nil` for one that is retried.
    private func move(
        _ source: FailedSetMoves.Source, _ reason: FailedMessage.Reason?, _ publish: () -> Void
    ) {
        guard context.moves.begin(source) else { return }
        publish()
        whenSynced { [context] failure in
            context.moves.end(
                source, reason, isSynced: failure == nil, at: context.now.monotonic)
        }
    }

    /// Finishes the messages whose copies are synced.
    func finishFailedMessages() {
        for (source, reason) in context.moves.drainSynced() where !source.channel.isDeleted {
            if let reason { source.channel.didFail(reason) }
            source.channel.finishUndelivered([source.index], of: source.segment)
        }
    }

    // MARK: Reading, retrying and discarding

    /// The failed sets with the number of their messages that are not in flight, in the order of their
    /// names.
    package var failedSets: [(topic: TopicName, count: Int)] {
        topics.values.filter(\.name.isFailedSet).sorted { $0.name < $1.name }.compactMap { topic in
            topic.channel(FailedSet.channel).map {
                (topic.name, $0.depth + $0.deliveries.deferredCount)
            }
        }
    }

    /// Returns failed messages of a channel with their IDs in the failed set, the oldest first.
    ///
    /// - Returns: the messages, and the ID after which the next request continues; `nil` at the end of
    ///   the failed set.
    package func failedMessages(
        of channel: ChannelName, _ topic: TopicName, _ selection: FailedSelection, at now: Timestamp
    ) -> (messages: [(id: MessageID, message: FailedMessage)], next: MessageID?) {
        context.setTime(now)
        var found: [(id: MessageID, message: FailedMessage)] = []
        let next = forEachFailed(of: channel, topic, selection) { id, _, message in
            found.append((id, message))
            return true
        }
        return (found, next)
    }

    /// Publishes failed messages to their channel of origin again, and finishes them in the failed
    /// set when the publish is synced.
    ///
    /// - Returns: the number of messages, and the ID after which the next request continues; `nil` if
    ///   the channel does not exist, or its topic is paused.
    /// - Throws: `PublishError.memoryIsFull` if there is no memory for the first message.
    package func retryFailed(
        of channel: ChannelName, _ topic: TopicName, _ selection: FailedSelection, at now: Timestamp
    ) throws(PublishError) -> (count: Int, next: MessageID?)? {
        context.setTime(now)
        guard let origin = topics[topic], origin.channel(channel) != nil, !origin.holdsMessages,
            publishRefusal == nil
        else { return nil }
        var count = 0
        var isMemoryFull = false
        let next = forEachFailed(of: channel, topic, selection) { _, source, message in
            guard hasMemory(for: Segment.byteCount(bodyBytes: message.body.count)) else {
                isMemoryFull = true
                return false
            }
            move(source, nil) {
                message.body.withUnsafeBytes {
                    origin.publish($0, deferredUntil: now.monotonic, for: [channel])
                }
            }
            count += 1
            return true
        }
        if count == 0, isMemoryFull { throw .memoryIsFull }
        return (count, next)
    }

    /// Discards failed messages.
    ///
    /// - Returns: the number of messages, and the ID after which the next request continues.
    package func discardFailed(
        of channel: ChannelName, _ topic: TopicName, _ selection: FailedSelection, at now: Timestamp
    ) -> (count: Int, next: MessageID?) {
        context.setTime(now)
        var sources: [FailedSetMoves.Source] = []
        let next = forEachFailed(of: channel, topic, selection) { _, source, _ in
            sources.append(source)
            return true
        }
        for source in sources {
            source.channel.finishUndelivered([source.index], of: source.segment)
        }
        return (sources.count, next)
    }

    /// The maximum numbers of bytes and of messages that one request reads.
    private static let (maxBytesPerRequest, maxExaminedPerRequest) = (4 << 20, 100_000)

    /// Calls `body` with the selected messages of a channel, until it returns `false` or one of the
    /// limits of a request is reached.
    ///
    /// - Returns: the ID of the last examined message if the failed set may contain further messages.
    private func forEachFailed(
        of channel: ChannelName, _ topic: TopicName, _ selection: FailedSelection,
        _ body: (MessageID, FailedSetMoves.Source, FailedMessage) -> Bool
    ) -> MessageID? {
        let name = FailedSet.topic(of: channel, topic)
        guard let set = topics[name], let holder = set.channel(FailedSet.channel) else {
            return nil
        }
        var left = selection.limit
        var (bytes, examined) = (Self.maxBytesPerRequest, Self.maxExaminedPerRequest)
        var last = selection.after
        for segment in Array(set.segments.all) where selection.canInclude(segment: segment.serial) {
            guard left > 0, bytes > 0, examined > 0 else { return last }
            guard let indexes = holder.undeliveredIndexes(of: segment), !indexes.isEmpty else {
                continue
            }
            let wasResident = segment.isResident
            guard wasResident || set.pageIn(segment) else { continue }
            defer { if !wasResident { set.pageOut(segment) } }
            for index in indexes where segment.contains(index) {
                let number = segment.serial << 16 | UInt64(index)
                guard selection.includes(number) else { continue }
                guard left > 0, bytes > 0, examined > 0 else { return last }
                examined -= 1
                let source = FailedSetMoves.Source(channel: holder, segment: segment, index: index)
                let frame = segment.frame(at: index)
                if !context.moves.isPending(source),
                    !pendingMoves.contains(MessageID(number), of: holder),
                    let message = FailedMessage(
                        parsing: frame.view(MessageFrame.bodyOffset..<frame.count)),
                    message.topic == topic, message.channel == channel
                {
                    guard body(MessageID(number), source, message) else { return last }
                    left -= 1
                    bytes -= frame.count
                }
                last = MessageID(number)
            }
            if !wasResident { bytes -= segment.usedBytes }
        }
        return nil
    }
}
