import DequeModule

/// The sessions, channels and topics that one loop iteration has changed.
///
/// A command only adds objects to these lists. At the end of the iteration, the broker processes
/// each object once, so that all messages for a connection are sent with one write.
final class PendingWork {
    /// Sessions that have data to send, or whose connection must be closed.
    private var sessions = PendingList<Session>()
    /// Channels that may have messages to deliver.
    private var channels = PendingList<Channel>()
    /// Topics that may have messages to dispatch.
    private var topics = PendingList<Topic>()
    private var recordingChannels: [Channel] = []
    private var unflushedTopics: [Topic] = []
    private var deletedTopics = Deque<Topic>()

    func add(_ session: Session) { sessions.insert(session) }

    @inline(__always)
    func add(_ channel: Channel) { channels.insert(channel) }

    @inline(__always)
    func add(_ topic: Topic) { topics.insert(topic) }

    /// Adds a channel with buffered log records. The caller adds each channel only once.
    func addRecording(_ channel: Channel) { recordingChannels.append(channel) }

    /// Adds a topic whose messages are not in the message log yet. The caller adds each topic only
    /// once.
    func addUnflushed(_ topic: Topic) { unflushedTopics.append(topic) }

    /// Adds a deleted topic whose channels' memory is not released yet.
    func addDeleted(_ topic: Topic) { deletedTopics.append(topic) }

    var firstDeletedTopic: Topic? { deletedTopics.first }

    func removeFirstDeletedTopic() { deletedTopics.removeFirst() }

    func drainSessions() -> [Session] { sessions.drain() }

    /// `true` if topics or channels are left to process.
    var hasTopicsOrChannels: Bool { topics.count + channels.count + deletedTopics.count > 0 }

    /// The number of channels that may have messages to deliver.
    var channelCount: Int { channels.count }
    var topicCount: Int { topics.count }

    /// Removes and returns the topic that was added first.
    func popTopic() -> Topic? { topics.popFirst() }

    /// Removes and returns the channel that was added first.
    func popChannel() -> Channel? { channels.popFirst() }

    func drainRecordingChannels() -> [Channel] {
        defer { recordingChannels.removeAll(keepingCapacity: true) }
        return recordingChannels
    }

    func drainUnflushedTopics() -> [Topic] {
        defer { unflushedTopics.removeAll(keepingCapacity: true) }
        return unflushedTopics
    }

    func removeAll() {
        _ = (drainSessions(), channels.drain(), topics.drain())
        _ = (drainRecordingChannels(), drainUnflushedTopics())
        deletedTopics.removeAll()
    }
}

/// An object that can be in a ``PendingList``.
protocol PendingItem: AnyObject {
    var pendingMark: PendingMark { get set }
}

/// A mark on an object that is in a ``PendingList``. Only the list changes the mark.
struct PendingMark {
    fileprivate var isSet = false
}

/// A list of objects without duplicates.
struct PendingList<Item: PendingItem> {
    private var items: [Item] = []
    /// The index in `items` of the first item; the items before it were removed.
    private var firstIndex = 0

    var count: Int { items.count - firstIndex }

    @inline(__always)
    mutating func insert(_ item: Item) {
        guard !item.pendingMark.isSet else { return }
        item.pendingMark.isSet = true
        items.append(item)
    }

    /// Removes and returns the item that was inserted first.
    mutating func popFirst() -> Item? {
        guard firstIndex < items.count else { return nil }
        let item = items[firstIndex]
        item.pendingMark.isSet = false
        firstIndex += 1
        removePopped()
        return item
    }

    /// Removes the items before `firstIndex` when they are at least half of the array.
    private mutating func removePopped() {
        guard firstIndex * 2 >= items.count else { return }
        items.removeFirst(firstIndex)
        firstIndex = 0
    }

    mutating func drain() -> [Item] {
        defer {
            items.removeAll(keepingCapacity: true)
            firstIndex = 0
        }
        let drained = firstIndex == 0 ? items : Array(items[firstIndex...])
        for item in drained { item.pendingMark.isSet = false }
        return drained
    }
}
