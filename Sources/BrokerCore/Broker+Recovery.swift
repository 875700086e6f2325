import NSQWire

/// What happened before the broker was started, told in the order in which it was noted.
extension Broker {
    package func beginRecovery() { turn.isRecovering = true }

    /// One change.
    package func recover(_ change: LedgerChange, at now: Moment) {
        turn.now = now
        switch change {
        case .topicCreated(let name): _ = topic(name)
        case .topicDeleted(let name): topics[name].map { delete($0) }
        case .topicPaused(let name, let isPaused):
            topics[name]?.pause(isPaused, turn)
            topics[name]?.handOver(turn)
        case .topicEmptied(let name): topics[name]?.empty(turn)
        case .topicHeld(let name): topics[name]?.awaitsChannels = true
        case .topicStarted(let name): recoverStart(of: name)
        case .handedOver(let name): topics[name]?.recoverHandingOver()
        case .channelCreated(let topic, let name):
            // As at the end of the turn that it was created in.
            channel(name, of: self.topic(topic)).topic.handOver(turn)
        case .channelDeleted(let topic, let name): known(name, topic).map { delete($0) }
        case .channelPaused(let topic, let name, let isPaused):
            known(name, topic)?.pause(isPaused, turn)
        case .channelEmptied(let topic, let name): known(name, topic)?.empty(turn)
        case .finished(let topic, let name, let runs):
            guard let channel = known(name, topic) else { return }
            for run in runs { channel.recoverFinished(run, turn) }
        case .delivered(let topic, let name, let runs):
            guard let channel = known(name, topic) else { return }
            for run in runs { channel.recoverDelivered(run, turn) }
        case .returned(let topic, let name, let deliveries):
            guard let channel = known(name, topic) else { return }
            for delivery in deliveries { channel.recover(delivery, turn) }
        }
    }

    /// The topics and channels that there were at a moment: what is missing of them is made, what
    /// is not among them goes, as the note of it was lost.
    package func recover(_ noted: [NotedTopic], at now: Moment) {
        turn.now = now
        for topic in topics.values where !noted.contains(where: { $0.name == topic.name }) {
            delete(topic)
        }
        for note in noted {
            let topic = topic(note.name)
            for channel in topic.channels
            where !note.channels.contains(where: { $0.name == channel.name }) {
                delete(channel)
            }
            for channel in note.channels {
                self.channel(channel.name, of: topic).pause(channel.isPaused, turn)
            }
            if topic.isPaused != note.isPaused { topic.pause(note.isPaused, turn) }
            topic.handOver(turn)
        }
    }

    /// Messages that were published, deferred, or moved.
    package func recover(_ messages: RecoveredMessages, at now: Moment) {
        turn.now = now
        turn.recover(serial: messages.run.serial)
        topic(messages.topic).recover(messages, turn)
    }

    private func recoverStart(of name: TopicName) {
        topics[name]?.awaitsChannels = false
        topics[name]?.handOver(turn)
    }

    /// That was all: from here on things happen.
    package func endRecovery(at now: Moment) {
        turn.now = now
        // Who was to be asked for channels has not answered before the end.
        let waiting = topics.values.filter(\.awaitsChannels).map(\.name)
        for name in waiting { recoverStart(of: name) }
        for topic in topics.values { topic.endRecovery(turn) }
        _ = turn.takeNotingChannels()
        turn.isRecovering = false
        for name in waiting { turn.note(.topicStarted(name)) }
        turn.events.removeAll()
    }

    private func known(_ name: ChannelName, _ topic: TopicName) -> Channel? {
        topics[topic]?.channels.first { $0.name == name }
    }

    /// Messages that are ready, in flight or deferred, in all channels and topics.
    package var backlog: Int {
        topics.values.reduce(0) { sum, topic in
            sum + topic.depth
                + topic.channels.reduce(0) { $0 + $1.depth + $1.inFlightCount + $1.deferredCount }
        }
    }
}

/// Messages as the ledger tells of them: what they are, and not what is in them.
package struct RecoveredMessages {
    package var topic: TopicName
    package var run: RecordRun
    /// Where the segment's first message stands among the topic's.
    package var firstOrdinal: Int
    /// What the records take in their wire form.
    package var byteCount: Int
    package var kind: NotedMessages

    package init(
        topic: TopicName, run: RecordRun, firstOrdinal: Int, byteCount: Int, kind: NotedMessages
    ) {
        self.topic = topic
        self.run = run
        self.firstOrdinal = firstOrdinal
        self.byteCount = byteCount
        self.kind = kind
    }

    var isDeferred: Bool {
        switch kind {
        case .published, .moved: false
        case .deferred, .movedDeferred: true
        }
    }
}
