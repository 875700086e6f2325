import BrokerCore
import NSQWire

/// A simple model of the broker's guarantees: the messages that each channel must, may, or must not
/// deliver.
///
/// A message's copy in a channel is expected once the topic has dispatched it, and must be delivered
/// once the publish is acknowledged. A copy that a crash may have lost is possible: delivering and
/// losing it are both correct.
struct DeliveryChecker {
    /// Says in which loop iteration changes were written: `nil` if they were not written yet. All
    /// changes between two iterations without failures share a stamp.
    final class Stamp {
        var iteration: Int?
        init(iteration: Int? = nil) { self.iteration = iteration }
    }

    struct Message {
        var topic: TopicName
        var bodyBytes: Int
        /// The number in the body, which is that of another message if that was moved.
        var bodyNumber: Int
        /// The wall-clock time until which the publish is deferred.
        var due: Int64
        var stamp: Stamp
        /// `true` if the publish was acknowledged, and no crash or damage can have lost the message
        /// since.
        var mustBeDelivered = false
        /// `true` if the message's record is damaged.
        var isDamaged = false
        /// `true` if the publish was rejected. The message must then not be delivered before the next
        /// restart.
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
        /// The attempts of each delivery.
        var attempts: [(count: UInt16, stamp: Stamp)] = []
        /// The wall-clock time until which the message is requeued.
        var notBefore: (due: Int64, stamp: Stamp)?

        var isGone: Bool { if case .gone = state { true } else { false } }
    }

    struct Channel {
        var exists = false
        var isPaused = false
        /// The stamps of the last creation or deletion, and of the last pause or unpause.
        var existence: Stamp
        var pause: Stamp
        var copies: [Int: Copy] = [:]
    }

    struct Topic {
        var isPaused = false
        var pause: Stamp
        var channels: [ChannelName: Channel] = [:]
        /// Messages that are not dispatched yet.
        var held: [Int] = []
        /// Messages that, after a crash, the topic may or may not still hold.
        var possiblyHeld: Set<Int> = []
        /// Messages that were moved to another broker while the topic had no durable channel. Each crash
        /// can bring them back.
        var possiblyBack: Set<Int> = []
        /// Messages that were discarded before they were dispatched.
        var discarded: [(number: Int, stamp: Stamp)] = []
        var all: [Int] = []
        /// The stamps of all changes of the topic and its channels.
        var changes: [Stamp] = []
        /// `true` if damage makes the history of the topic uncertain.
        var isUncertain = false

        var names: [ChannelName] { channels.keys.sorted().filter { channels[$0]!.exists } }
    }

    private(set) var messages: [Message?] = [nil]
    /// The messages that were published by moving others, by the numbers of those.
    private(set) var movedNumbers: [Int: Int] = [:]
    /// The messages that were received from the failed set of a channel.
    private var failed: [TopicName: [ChannelName: Set<Int>]] = [:]
    /// `true` if damage may have lost messages of failed sets.
    var mayLoseFailed = false
    /// The topics named by an MPUB, which may exist although no MPUB was completed.
    var startedTopics: Set<TopicName> = []
    var topics: [TopicName: Topic] = [:]
    /// The stamp of all changes that are not written yet.
    var stamp = Stamp()
    let respondsAfterSync: Bool
    let lifetimes: MessageLifetimes
    let attemptLimits: AttemptLimits
    let keepsExpired: Bool
    /// `true` if there was always memory and disk space for the copy of a failed message. Without it, a
    /// message is delivered instead of moved to the failed set.
    var storesAllCopies: Bool

    // The changes up to the iteration `syncedUpTo` survive a power failure, except those of
    // `neverSynced`.
    private var syncedUpTo = 0
    private var neverSynced: [ClosedRange<Int>] = []

    init(respondsAfterSync: Bool, options: BrokerOptions, hasSpace: Bool) {
        self.respondsAfterSync = respondsAfterSync
        lifetimes = options.lifetimes
        attemptLimits = options.attemptLimits
        keepsExpired = options.keepsExpired
        storesAllCopies = hasSpace && options.maxMemoryBytes > 100 << 20
    }

    var lastMessage: Int { messages.count - 1 }

    subscript(_ number: Int) -> Message {
        get { messages[number]! }
        set { messages[number] = newValue }
    }

    func exists(_ number: Int) -> Bool { number > 0 && number < messages.count }

    // MARK: Writing

    /// Records an iteration without failures, in which all changes were written.
    mutating func didWrite(in iteration: Int) {
        stamp.iteration = iteration
        stamp = Stamp()
    }

    mutating func didSync(upTo iteration: Int) { syncedUpTo = max(syncedUpTo, iteration) }

    /// Records a failed sync. Changes before it may never be synced.
    mutating func didFailSync(in iteration: Int) {
        storesAllCopies = false
        if syncedUpTo < iteration { neverSynced.append(syncedUpTo + 1...iteration) }
    }

    func isSynced(_ stamp: Stamp) -> Bool {
        guard let iteration = stamp.iteration else { return false }
        return iteration <= syncedUpTo && !neverSynced.contains { $0.contains(iteration) }
    }

    // MARK: Publishing

    mutating func newMessage(to topic: TopicName, bodyBytes: Int) -> Int {
        messages.append(
            Message(
                topic: topic, bodyBytes: bodyBytes, bodyNumber: messages.count, due: 0,
                stamp: stamp))
        return lastMessage
    }

    /// Returns a message to `topic` with the body of another message.
    mutating func newMessage(to topic: TopicName, moving number: Int) -> Int {
        let new = newMessage(to: topic, bodyBytes: self[number].bodyBytes)
        self[new].bodyNumber = number
        movedNumbers[number] = new
        return new
    }

    /// Records a publish that the broker has processed.
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
        for number in numbers { self[number].mustBeDelivered = !self[number].isDamaged }
    }

    mutating func refused(_ numbers: [Int]) {
        for number in numbers { self[number].isRefused = true }
    }

    mutating func create(_ name: TopicName) {
        if topics[name] == nil { topics[name] = Topic(pause: stamp) }
    }

    /// Dispatches held messages to the channels, as the broker does at the end of an iteration.
    mutating func dispatch(_ name: TopicName) {
        guard let topic = topics[name], !topic.isPaused, !topic.names.isEmpty,
            !topic.held.isEmpty || !topic.possiblyHeld.isEmpty
        else { return }
        for channel in topic.names {
            let isEphemeral = channel.isEphemeral || name.isEphemeral
            for number in topic.held {
                topics[name]!.channels[channel]!.copies[number] = Copy(
                    state: isEphemeral ? .possible : .expected)
            }
            for number in topic.possiblyHeld { allow(number, name, channel) }
        }
        // If all channels are ephemeral, the next crash loses the messages, once their dispatch is
        // logged.
        if topic.names.allSatisfy(\.isEphemeral) { discardHeld(name) }
        topics[name]!.held = []
        topics[name]!.possiblyHeld = []
    }

    mutating func dispatchAll() {
        for name in topics.keys { dispatch(name) }
    }

    /// Allows a message in a channel, unless it was finished there.
    mutating func allow(_ number: Int, _ topic: TopicName, _ channel: ChannelName) {
        let copy = topics[topic]!.channels[channel]!.copies[number] ?? Copy()
        guard !copy.isGone else { return }
        topics[topic]!.channels[channel]!.copies[number] = copy
        topics[topic]!.channels[channel]!.copies[number]!.state = .possible
    }

    // MARK: Failed sets

    /// `true` if messages can move to failed sets.
    var hasFailedSets: Bool { attemptLimits.defaultLimit > 0 }

    /// Records a message that a consumer received from the failed set of a channel.
    mutating func didFail(_ number: Int, _ topic: TopicName, _ channel: ChannelName) {
        failed[topic, default: [:]][channel, default: []].insert(number)
    }

    /// Returns `true` if a message that its channel does not deliver may be in the failed set.
    func canHaveFailed(_ number: Int, _ topic: TopicName, _ channel: ChannelName) -> Bool {
        failed[topic]?[channel]?.contains(number) == true || hasFailedSets && mayLoseFailed
    }

    // MARK: Topics and channels

    mutating func create(_ channel: ChannelName, of name: TopicName) {
        create(name)
        guard topics[name]!.channels[channel]?.exists != true else { return }
        dispatch(name)
        topics[name]!.channels[channel] = Channel(exists: true, existence: stamp, pause: stamp)
        topics[name]!.changes.append(stamp)
    }

    mutating func delete(_ channel: ChannelName, of name: TopicName) {
        dispatch(name)
        guard topics[name]?.channels[channel]?.exists == true else { return }
        discard(channel, name)
        topics[name]!.channels[channel]!.exists = false
        topics[name]!.channels[channel]!.existence = stamp
        topics[name]!.changes.append(stamp)
        if name.isEphemeral, topics[name]!.names.isEmpty { topics[name] = nil }
    }

    mutating func delete(_ name: TopicName) {
        guard let topic = topics[name] else { return }
        for channel in topic.names { delete(channel, of: name) }
        guard topics[name] != nil else { return }
        discardHeld(name)
        topics[name]!.isPaused = false
        topics[name]!.pause = stamp
        if name.isEphemeral { topics[name] = nil }
    }

    mutating func empty(_ channel: ChannelName, of name: TopicName) {
        dispatch(name)
        discard(channel, name)
    }

    mutating func empty(_ name: TopicName) {
        dispatch(name)
        discardHeld(name)
    }

    mutating func pause(_ name: TopicName, _ isPaused: Bool) {
        // The topic may have been created by an incomplete MPUB.
        create(name)
        dispatch(name)
        topics[name]?.isPaused = isPaused
        topics[name]?.pause = stamp
        topics[name]?.changes.append(stamp)
    }

    mutating func pause(_ channel: ChannelName, of name: TopicName, _ isPaused: Bool) {
        dispatch(name)
        topics[name]?.channels[channel]?.isPaused = isPaused
        topics[name]?.channels[channel]?.pause = stamp
    }

    private mutating func discard(_ channel: ChannelName, _ name: TopicName) {
        guard let topic = topics[name], let copies = topic.channels[channel]?.copies else { return }
        for (number, copy) in copies where !copy.isGone {
            // The topic may still hold the message.
            if case .possible = copy.state, topic.isPaused { continue }
            topics[name]!.channels[channel]!.copies[number]!.state = .gone(stamp)
        }
    }

    private mutating func discardHeld(_ name: TopicName) {
        guard let topic = topics[name] else { return }
        topics[name]!.discarded += (topic.held + topic.possiblyHeld.sorted()).map { ($0, stamp) }
        topics[name]!.held = []
        topics[name]!.possiblyHeld = []
    }
}
