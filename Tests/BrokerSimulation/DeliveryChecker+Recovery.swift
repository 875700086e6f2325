import BrokerCore
import NSQWire

/// A way in which a broker process ends.
enum Crash: String {
    /// The process is killed. All written bytes survive.
    case kill
    /// The power fails. Only synced bytes survive.
    case powerCut
}

extension DeliveryChecker {
    /// Checks the topics and channels of a broker that has recovered after a crash, and updates the
    /// expectations.
    ///
    /// - Parameter found: the recovered topics and channels.
    /// - Returns: a description of the violation; `nil` if the state is correct.
    mutating func checkRecovery(_ crash: Crash, _ found: BrokerStatistics) -> String? {
        let isDurable: (Stamp) -> Bool = { [self] stamp in
            crash == .kill ? stamp.iteration != nil : isSynced(stamp)
        }
        stamp = Stamp()
        for topic in found.topics
        where startedTopics.contains(topic.name) || topic.name.isFailedSet && hasFailedSets {
            create(topic.name)
        }
        reviewMessages(crash, isDurable)
        var violation: String?
        for name in topics.keys.sorted() {
            guard !name.isEphemeral else {
                topics[name] = nil
                continue
            }
            violation =
                violation ?? review(name, found.topics.first { $0.name == name }, crash, isDurable)
        }
        let unknown = found.topics.first { topics[$0.name] == nil }
        if let unknown { violation = violation ?? "the topic \(unknown.name) was never created" }
        dispatchAll()
        return violation
    }

    private mutating func reviewMessages(_ crash: Crash, _ isDurable: (Stamp) -> Bool) {
        for number in 1..<max(1, messages.count) {
            let isKept = crash == .kill || respondsAfterSync || isDurable(self[number].stamp)
            self[number].mustBeDelivered = self[number].mustBeDelivered && isKept
            // The failed write may have stored the message.
            self[number].isRefused = false
        }
    }

    private mutating func review(
        _ name: TopicName, _ found: TopicStatistics?, _ crash: Crash, _ isDurable: (Stamp) -> Bool
    ) -> String? {
        // State that survives a power failure is durable. Uncertain state is logged again.
        func stampAfterRecovery(_ old: Stamp) -> Stamp {
            crash == .powerCut ? Stamp(iteration: 0) : isDurable(old) ? old : stamp
        }
        var violation: String?
        var isUncertain =
            topics[name]!.isUncertain || !isDurable(topics[name]!.pause)
            || !topics[name]!.changes.allSatisfy(isDurable)
        if crash == .powerCut { topics[name]!.changes = [] }
        if !isUncertain, let found, found.isPaused != topics[name]!.isPaused {
            violation = "the topic \(name) is \(found.isPaused ? "" : "not ")paused"
        }
        for channel in topics[name]!.channels.keys.sorted() {
            let state = topics[name]!.channels[channel]!
            let same = found?.channels.first { $0.name == channel }
            let isCertain =
                channel.isEphemeral || isDurable(state.existence) && !topics[name]!.isUncertain
            let exists = !channel.isEphemeral && state.exists
            if isCertain, exists != (same != nil) {
                violation = "the channel \(name)/\(channel) is \(exists ? "lost" : "back")"
            }
            if let same, exists, isCertain, isDurable(state.pause), same.isPaused != state.isPaused
            {
                violation = "the channel \(name)/\(channel) is \(same.isPaused ? "" : "not ")paused"
            }
            if !isCertain { isUncertain = true }
            if same == nil {
                markLost(channel, name, isCertain)
            } else {
                review(channel, of: name, isCertain, isDurable)
            }
            topics[name]!.channels[channel]!.exists = same != nil
            topics[name]!.channels[channel]!.isPaused = same?.isPaused ?? false
            topics[name]!.channels[channel]!.existence = stampAfterRecovery(state.existence)
            topics[name]!.channels[channel]!.pause = stampAfterRecovery(state.pause)
        }
        for discarded in topics[name]!.discarded where !isDurable(discarded.stamp) {
            topics[name]!.possiblyHeld.insert(discarded.number)
        }
        topics[name]!.isPaused = found?.isPaused ?? false
        topics[name]!.pause = stampAfterRecovery(topics[name]!.pause)
        if topics[name]!.isUncertain {
            // If the record of the topics at the start of a file is damaged, recovery ignores later
            // records of channels that it does not know.
            for channel in topics[name]!.channels.keys { forgetDeliveryRecords(name, channel) }
        }
        topics[name]!.possiblyHeld.formUnion(topics[name]!.possiblyBack)
        for channel in topics[name]!.channels.keys {
            for number in topics[name]!.possiblyBack { allow(number, name, channel) }
        }
        if isUncertain { markUncertain(name) }
        return violation
    }

    /// Records that a channel did not survive. The topic may hold its messages again.
    private mutating func markLost(_ channel: ChannelName, _ name: TopicName, _ isCertain: Bool) {
        let copies = topics[name]!.channels[channel]!.copies
        if topics[name]!.channels[channel]!.exists || !isCertain {
            topics[name]!.possiblyHeld.formUnion(copies.keys)
        }
        topics[name]!.channels[channel]!.copies = [:]
    }

    private mutating func review(
        _ channel: ChannelName, of name: TopicName, _ isCertain: Bool, _ isDurable: (Stamp) -> Bool
    ) {
        var copies = topics[name]!.channels[channel]!.copies
        for (number, copy) in copies {
            var copy = copy
            if case .gone(let stamp) = copy.state, !isDurable(stamp) { copy.state = .possible }
            if case .expected = copy.state, !isCertain { copy.state = .possible }
            copy.attempts.removeAll { !isDurable($0.stamp) }
            if let notBefore = copy.notBefore, !isDurable(notBefore.stamp) { copy.notBefore = nil }
            copies[number] = copy
        }
        topics[name]!.channels[channel]!.copies = copies
    }

    /// Allows any message in any channel unless it was finished there, and allows the topic to hold
    /// any message. This is necessary when the history of the channels is uncertain.
    private mutating func markUncertain(_ name: TopicName) {
        for channel in topics[name]!.channels.keys {
            for number in topics[name]!.all { allow(number, name, channel) }
        }
        topics[name]!.possiblyHeld.formUnion(topics[name]!.all)
        topics[name]!.held = []
    }

    // MARK: Damage

    /// Updates the expectations after a bit of the journal was flipped.
    mutating func applyDamage(_ hit: JournalDamageLocator.Hit) {
        switch hit {
        case .nothing, .fileHeader: break
        case .messages(let numbers):
            for number in numbers + numbers.compactMap({ movedNumbers[$0] }) where exists(number) {
                self[number].isDamaged = true
                self[number].mustBeDelivered = false
            }
        case .deliveries:
            for name in topics.keys {
                for channel in topics[name]!.channels.keys { forgetDeliveryRecords(name, channel) }
            }
        case .topics:
            mayLoseFailed = true
            for name in topics.keys { topics[name]!.isUncertain = true }
            applyDamage(.deliveries)
        }
    }

    private mutating func forgetDeliveryRecords(_ name: TopicName, _ channel: ChannelName) {
        var copies = topics[name]!.channels[channel]!.copies
        for (number, copy) in copies {
            var copy = copy
            if copy.isGone { copy.state = .possible }
            copy.attempts = []
            copy.notBefore = nil
            copies[number] = copy
        }
        topics[name]!.channels[channel]!.copies = copies
        // The damaged records may have said that the channels do not need some relocated messages.
        for number in topics[name]!.all { allow(number, name, channel) }
    }
}
