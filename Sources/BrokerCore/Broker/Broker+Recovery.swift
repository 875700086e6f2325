import NSQWire
import TallyBasics

/// Recovery of topics, channels and messages from the records of the message log, which are
/// replayed in the order in which they were appended.
extension Broker {
    /// Begins the replay of the message log. The broker appends no records to the log until
    /// ``endRecovery(at:)``.
    package func beginRecovery() { context.log.beginReplay() }

    /// Replays one record.
    package func recover(_ record: LogRecord, at now: Timestamp) {
        context.setTime(now)
        switch record {
        case .topicCreated(let name): _ = topic(name)
        case .topicDeleted(let name):
            topics[name].map { delete($0) }
            releaseAllDeletedTopics()
        case .topicPaused(let name, let isPaused):
            topics[name]?.pause(isPaused)
            topics[name]?.dispatch()
        case .topicEmptied(let name): topics[name]?.empty()
        case .topicHeld(let name): topics[name]?.awaitChannels()
        case .topicStarted(let name): recoverStart(of: name)
        case .dispatched(let name): topics[name]?.recoverAllDispatched()
        case .channelCreated(let topic, let name):
            // When the channel was created, the topic dispatched its messages at the end of that
            // loop iteration. The replay repeats this dispatch.
            channel(name, of: self.topic(topic)).topic.dispatch()
        case .channelDeleted(let topic, let name): existing(name, topic).map { delete($0) }
        case .channelPaused(let topic, let name, let isPaused):
            existing(name, topic)?.pause(isPaused)
        case .channelEmptied(let topic, let name): existing(name, topic)?.empty()
        case .finished(let topic, let name, let runs):
            guard let channel = existing(name, topic) else { return }
            for run in runs { channel.recoverFinished(run) }
        case .delivered(let topic, let name, let runs):
            guard let channel = existing(name, topic) else { return }
            for run in runs { channel.recoverFirstDeliveries(run) }
        case .deliveriesUpdated(let topic, let name, let deliveries, let writtenAt):
            guard let channel = existing(name, topic) else { return }
            for delivery in deliveries { channel.recover(delivery, writtenAt: writtenAt) }
        }
    }

    /// Replays the snapshot of all topics and channels at the start of a log file. Missing topics
    /// and channels are created. Topics and channels without an entry in the snapshot are deleted,
    /// because the records of their deletion were lost.
    package func recover(_ snapshots: [TopicSnapshot], at now: Timestamp) {
        context.setTime(now)
        let names = Set(snapshots.map(\.name))
        for topic in topics.values where !names.contains(topic.name) { delete(topic) }
        for snapshot in snapshots {
            let topic = topic(snapshot.name)
            let channelNames = Set(snapshot.channels.map(\.name))
            for channel in topic.channels where !channelNames.contains(channel.name) {
                delete(channel)
            }
            for channel in snapshot.channels {
                self.channel(channel.name, of: topic).pause(channel.isPaused)
            }
            if topic.isPaused != snapshot.isPaused { topic.pause(snapshot.isPaused) }
            topic.dispatch()
        }
    }

    /// Replays messages that were published, deferred, or relocated.
    package func recover(_ messages: RecoveredMessages, at now: Timestamp) {
        context.setTime(now)
        context.reserveSerial(messages.run.serial)
        topic(messages.topic).recover(messages)
    }

    private func recoverStart(of name: TopicName) {
        topics[name]?.startDispatching()
        topics[name]?.dispatch()
    }

    /// Ends the replay of the message log, and starts the dispatch of the topics that still hold
    /// their messages.
    package func endRecovery(at now: Timestamp) {
        context.setTime(now)
        // These topics still hold their messages, because the broker stopped before the lookup of
        // their channels had completed.
        let waiting = topics.values.filter(\.awaitsChannels).map(\.name)
        for name in waiting { recoverStart(of: name) }
        for topic in topics.values { topic.endRecovery() }
        context.log.endReplay()
        for name in waiting { context.log.append(.topicStarted(name)) }
        _ = context.events.drain()
    }

    private func existing(_ name: ChannelName, _ topic: TopicName) -> Channel? {
        topics[topic]?.channel(name)
    }
}
