import BrokerCore
import NSQWire

/// How a broker comes to its end.
enum Crash: String {
    /// The process is killed: the system has all that it wrote.
    case kill
    /// The power fails: the disk has what was synced.
    case powerCut
}

extension Promises {
    /// A broker came up again after a crash.
    ///
    /// - Parameter found: the topics and channels that it knows.
    /// - Returns: what is wrong with that, if anything is.
    mutating func survived(_ crash: Crash, _ found: BrokerStatistics) -> String? {
        let isDurable: (Stamp) -> Bool = { [self] stamp in
            crash == .kill ? stamp.turn != nil : isSynced(stamp)
        }
        stamp = Stamp()
        for topic in found.topics where begun.contains(topic.name) { create(topic.name) }
        reviewMessages(crash, isDurable)
        var wrong: String?
        for name in topics.keys.sorted() {
            guard !name.isEphemeral else {
                topics[name] = nil
                continue
            }
            wrong = wrong ?? review(name, found.topics.first { $0.name == name }, crash, isDurable)
        }
        let unknown = found.topics.first { topics[$0.name] == nil }
        if let unknown { wrong = wrong ?? "nobody created \(unknown.name)" }
        handOverAll()
        return wrong
    }

    private mutating func reviewMessages(_ crash: Crash, _ isDurable: (Stamp) -> Bool) {
        for number in 1..<max(1, messages.count) {
            let isKept = crash == .kill || answersAfterSync || isDurable(self[number].stamp)
            self[number].isOwed = self[number].isOwed && isKept
            // A part of its write may have come to the disk before it failed.
            self[number].isRefused = false
        }
    }

    private mutating func review(
        _ name: TopicName, _ found: TopicStatistics?, _ crash: Crash, _ isDurable: (Stamp) -> Bool
    ) -> String? {
        // What is there after a power cut is on the disk; what is not known is noted anew.
        func noted(_ old: Stamp) -> Stamp {
            crash == .powerCut ? Stamp(turn: 0) : isDurable(old) ? old : stamp
        }
        var wrong: String?
        var isBlurred =
            topics[name]!.isBlurred || !isDurable(topics[name]!.pause)
            || !topics[name]!.changes.allSatisfy(isDurable)
        if crash == .powerCut { topics[name]!.changes = [] }
        if !isBlurred, let found, found.isPaused != topics[name]!.isPaused {
            wrong = "the topic \(name) is \(found.isPaused ? "" : "not ")paused"
        }
        for channel in topics[name]!.channels.keys.sorted() {
            let state = topics[name]!.channels[channel]!
            let same = found?.channels.first { $0.name == channel }
            let isCertain =
                channel.isEphemeral || isDurable(state.existence) && !topics[name]!.isBlurred
            let exists = !channel.isEphemeral && state.exists
            if isCertain, exists != (same != nil) {
                wrong = "the channel \(name)/\(channel) is \(exists ? "lost" : "back")"
            }
            if let same, exists, isCertain, isDurable(state.pause), same.isPaused != state.isPaused
            {
                wrong = "the channel \(name)/\(channel) is \(same.isPaused ? "" : "not ")paused"
            }
            if !isCertain { isBlurred = true }
            if same == nil {
                lose(channel, name, isCertain)
            } else {
                review(channel, of: name, isCertain, isDurable)
            }
            topics[name]!.channels[channel]!.exists = same != nil
            topics[name]!.channels[channel]!.isPaused = same?.isPaused ?? false
            topics[name]!.channels[channel]!.existence = noted(state.existence)
            topics[name]!.channels[channel]!.pause = noted(state.pause)
        }
        for dropped in topics[name]!.dropped where !isDurable(dropped.stamp) {
            topics[name]!.maybe.insert(dropped.number)
        }
        topics[name]!.isPaused = found?.isPaused ?? false
        topics[name]!.pause = noted(topics[name]!.pause)
        if isBlurred { blur(name) }
        return wrong
    }

    /// A channel that did not survive: what it had may be held again.
    private mutating func lose(_ channel: ChannelName, _ name: TopicName, _ isCertain: Bool) {
        let copies = topics[name]!.channels[channel]!.copies
        if topics[name]!.channels[channel]!.exists || !isCertain {
            topics[name]!.maybe.formUnion(copies.keys)
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

    /// Which channels there were when, and so which were given what, is not known any more: any
    /// message may come in any channel, but for those finished there, and may be held again.
    private mutating func blur(_ name: TopicName) {
        for channel in topics[name]!.channels.keys {
            for number in topics[name]!.all { allow(number, name, channel) }
        }
        topics[name]!.maybe.formUnion(topics[name]!.all)
        topics[name]!.held = []
    }

    // MARK: Damage

    /// A bit of old data changed.
    mutating func damaged(_ hit: JournalEye.Hit) {
        switch hit {
        case .nothing, .fileHeader: break
        case .messages(let numbers):
            for number in numbers where known(number) {
                self[number].isDamaged = true
                self[number].isOwed = false
            }
        case .notes:
            for name in topics.keys {
                for channel in topics[name]!.channels.keys { forgetNotes(name, channel) }
            }
        case .topics:
            for name in topics.keys { topics[name]!.isBlurred = true }
            damaged(.notes)
        }
    }

    private mutating func forgetNotes(_ name: TopicName, _ channel: ChannelName) {
        var copies = topics[name]!.channels[channel]!.copies
        for (number, copy) in copies {
            var copy = copy
            if copy.isGone { copy.state = .possible }
            copy.attempts = []
            copy.notBefore = nil
            copies[number] = copy
        }
        topics[name]!.channels[channel]!.copies = copies
        // Of what was moved it is noted which channels it was never for.
        for number in topics[name]!.all { allow(number, name, channel) }
    }
}
