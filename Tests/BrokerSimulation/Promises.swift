import BrokerCore
import NSQWire

/// What the broker has promised: which messages each channel is to get, told as simply as can be.
///
/// A message's copy in a channel is expected from when the channel is handed it; it is owed once
/// the message is acknowledged. What a crash may or may not have taken is possible from then on:
/// whether it comes or not, both are right.
struct Promises {
    /// When a promise was written, if it was: all that was said between two clean turns has one.
    final class Stamp {
        var turn: Int?
        init(turn: Int? = nil) { self.turn = turn }
    }

    struct Message {
        var topic: TopicName
        var bodyBytes: Int
        /// On the wall clock: deferred when it was published.
        var due: Int64
        var stamp: Stamp
        /// It was acknowledged, and nothing has happened since that may have taken it.
        var isOwed = false
        /// Its record was hit by a damage.
        var isDamaged = false
        /// It was refused: nobody is to get it as long as this broker lives.
        var isRefused = false
        var id: MessageID?
        var timestamp: Int64 = 0
    }

    struct Copy {
        enum State {
            case expected
            case possible
            case gone(Stamp)
        }

        var state = State.expected
        /// As they were seen.
        var attempts: [(count: UInt16, stamp: Stamp)] = []
        /// On the wall clock: requeued until then.
        var notBefore: (due: Int64, stamp: Stamp)?

        var isGone: Bool { if case .gone = state { true } else { false } }
    }

    struct Channel {
        var exists = false
        var isPaused = false
        /// When it last came or went, and was paused or not.
        var existence: Stamp
        var pause: Stamp
        var copies: [Int: Copy] = [:]
    }

    struct Topic {
        var isPaused = false
        var pause: Stamp
        var channels: [ChannelName: Channel] = [:]
        /// Published, and not handed to channels yet.
        var held: [Int] = []
        /// Perhaps held.
        var maybe: Set<Int> = []
        /// Thrown away while they were held.
        var dropped: [(number: Int, stamp: Stamp)] = []
        var all: [Int] = []
        /// When it and its channels came, went, and were paused.
        var changes: [Stamp] = []
        /// A damage hit what is known of it.
        var isBlurred = false

        var names: [ChannelName] { channels.keys.sorted().filter { channels[$0]!.exists } }
    }

    private(set) var messages: [Message?] = [nil]
    /// Topics that somebody has begun to publish several messages to: the first line of an MPUB is
    /// enough for its topic.
    var begun: Set<TopicName> = []
    var topics: [TopicName: Topic] = [:]
    /// All that is said now is written with this.
    var stamp = Stamp()
    let answersAfterSync: Bool

    // What of it would survive a power cut.
    private var syncedUpTo = 0
    private var neverSynced: [ClosedRange<Int>] = []

    init(answersAfterSync: Bool) { self.answersAfterSync = answersAfterSync }

    var lastMessage: Int { messages.count - 1 }

    subscript(_ number: Int) -> Message {
        get { messages[number]! }
        set { messages[number] = newValue }
    }

    func known(_ number: Int) -> Bool { number > 0 && number < messages.count }

    // MARK: Writing

    /// Nothing failed in this turn: all that was said is written.
    mutating func wasWritten(in turn: Int) {
        stamp.turn = turn
        stamp = Stamp()
    }

    mutating func wasSynced(upTo turn: Int) { syncedUpTo = max(syncedUpTo, turn) }

    /// What was not synced before may never be.
    mutating func syncFailed(in turn: Int) {
        if syncedUpTo < turn { neverSynced.append(syncedUpTo + 1...turn) }
    }

    func isSynced(_ stamp: Stamp) -> Bool {
        guard let turn = stamp.turn else { return false }
        return turn <= syncedUpTo && !neverSynced.contains { $0.contains(turn) }
    }

    // MARK: Publishing

    mutating func newMessage(to topic: TopicName, bodyBytes: Int) -> Int {
        messages.append(Message(topic: topic, bodyBytes: bodyBytes, due: 0, stamp: stamp))
        return lastMessage
    }

    /// The broker has taken the command.
    mutating func published(_ numbers: [Int], to name: TopicName, due: Int64) {
        create(name)
        for number in numbers {
            self[number].due = due
            self[number].stamp = stamp
        }
        topics[name]!.held += numbers
        topics[name]!.all += numbers
    }

    mutating func acknowledged(_ numbers: [Int]) {
        for number in numbers { self[number].isOwed = !self[number].isDamaged }
    }

    mutating func refused(_ numbers: [Int]) {
        for number in numbers { self[number].isRefused = true }
    }

    mutating func create(_ name: TopicName) {
        if topics[name] == nil { topics[name] = Topic(pause: stamp) }
    }

    /// Gives the channels what is held, as at a turn's end.
    mutating func handOver(_ name: TopicName) {
        guard let topic = topics[name], !topic.isPaused, !topic.names.isEmpty,
            !topic.held.isEmpty || !topic.maybe.isEmpty
        else { return }
        for channel in topic.names {
            let isBrief = channel.isEphemeral || name.isEphemeral
            for number in topic.held {
                topics[name]!.channels[channel]!.copies[number] = Copy(
                    state: isBrief ? .possible : .expected)
            }
            for number in topic.maybe { allow(number, name, channel) }
        }
        // To channels that do not outlive the broker: they are gone, once that is noted.
        if topic.names.allSatisfy(\.isEphemeral) { dropHeld(name) }
        topics[name]!.held = []
        topics[name]!.maybe = []
    }

    mutating func handOverAll() {
        for name in topics.keys { handOver(name) }
    }

    /// The message may come in this channel, unless it has come to its end there.
    mutating func allow(_ number: Int, _ topic: TopicName, _ channel: ChannelName) {
        let copy = topics[topic]!.channels[channel]!.copies[number] ?? Copy()
        guard !copy.isGone else { return }
        topics[topic]!.channels[channel]!.copies[number] = copy
        topics[topic]!.channels[channel]!.copies[number]!.state = .possible
    }

    // MARK: Topics and channels

    mutating func create(_ channel: ChannelName, of name: TopicName) {
        create(name)
        guard topics[name]!.channels[channel]?.exists != true else { return }
        handOver(name)
        topics[name]!.channels[channel] = Channel(exists: true, existence: stamp, pause: stamp)
        topics[name]!.changes.append(stamp)
    }

    mutating func delete(_ channel: ChannelName, of name: TopicName) {
        handOver(name)
        guard topics[name]?.channels[channel]?.exists == true else { return }
        throwAway(channel, name)
        topics[name]!.channels[channel]!.exists = false
        topics[name]!.channels[channel]!.existence = stamp
        topics[name]!.changes.append(stamp)
        if name.isEphemeral, topics[name]!.names.isEmpty { topics[name] = nil }
    }

    mutating func delete(_ name: TopicName) {
        guard let topic = topics[name] else { return }
        for channel in topic.names { delete(channel, of: name) }
        guard topics[name] != nil else { return }
        dropHeld(name)
        topics[name]!.isPaused = false
        topics[name]!.pause = stamp
        if name.isEphemeral { topics[name] = nil }
    }

    mutating func empty(_ channel: ChannelName, of name: TopicName) {
        handOver(name)
        throwAway(channel, name)
    }

    mutating func empty(_ name: TopicName) {
        handOver(name)
        dropHeld(name)
    }

    mutating func pause(_ name: TopicName, _ isPaused: Bool) {
        // It may have come into being with the first line of an MPUB.
        create(name)
        handOver(name)
        topics[name]?.isPaused = isPaused
        topics[name]?.pause = stamp
        topics[name]?.changes.append(stamp)
    }

    mutating func pause(_ channel: ChannelName, of name: TopicName, _ isPaused: Bool) {
        handOver(name)
        topics[name]?.channels[channel]?.isPaused = isPaused
        topics[name]?.channels[channel]?.pause = stamp
    }

    private mutating func throwAway(_ channel: ChannelName, _ name: TopicName) {
        guard let topic = topics[name], let copies = topic.channels[channel]?.copies else { return }
        for (number, copy) in copies where !copy.isGone {
            // It may be the topic's still.
            if case .possible = copy.state, topic.isPaused { continue }
            topics[name]!.channels[channel]!.copies[number]!.state = .gone(stamp)
        }
    }

    private mutating func dropHeld(_ name: TopicName) {
        guard let topic = topics[name] else { return }
        topics[name]!.dropped += (topic.held + topic.maybe.sorted()).map { ($0, stamp) }
        topics[name]!.held = []
        topics[name]!.maybe = []
    }
}
