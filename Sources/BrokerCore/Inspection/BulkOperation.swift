import NSQWire
import TallyBasics

/// Changes or counts the messages of a channel that a filter selects, in portions of bounded work.
///
/// The operation examines each message once, in the order of the IDs. It does not examine messages
/// that were published after its start. The operation ends with the process, and its changes until
/// then remain.
package final class BulkOperation {
    /// The change of the selected messages.
    package enum Action: Sendable, Equatable {
        /// No change: the messages are only counted.
        case count
        case change(MessageAction)
    }

    /// The state of an operation.
    package enum State: Sendable, Equatable {
        case running
        /// All messages were examined, and the changes are durable.
        case finished
        case cancelled
        case failed(InspectionError)
    }

    /// A number that identifies the operation in its broker, from 1.
    package let number: Int
    package let topic: TopicName
    package let channelName: ChannelName
    package let action: Action
    package let filter: MessageFilter
    /// The start, in nanoseconds since 1970.
    package let startedAt: Int64
    /// The number of unfinished messages of the channel at the start.
    package let messageCount: Int
    package private(set) var state = State.running
    /// The number of selected messages so far.
    package private(set) var selectedCount = 0
    /// The number of changed messages so far; 0 for a count.
    package private(set) var changedCount = 0

    let channel: Channel
    private var scan: QueueScan
    /// `true` while a portion or the last change is not durable yet.
    private var isWaiting = false

    /// The maximum number of messages that one portion changes.
    static let changesPerPortion = 1000
    /// The maximum number of array elements that the changes of one portion may move in the list of
    /// ranges ahead of the cursor. A change in the middle of the list moves up to half of the
    /// elements.
    private static let movedRangesPerPortion = 4_000_000

    private var changesInPortion: Int {
        let ranges = channel.cursor.ahead.count
        return min(Self.changesPerPortion, max(8, Self.movedRangesPerPortion / (1 + ranges)))
    }

    init(
        _ number: Int, _ action: Action, _ filter: MessageFilter, of channel: Channel,
        at now: Timestamp
    ) {
        self.number = number
        self.action = action
        self.filter = filter
        self.channel = channel
        topic = channel.topic.name
        channelName = channel.name
        startedAt = now.wall
        let queue = InspectedQueue.channel(channel)
        messageCount = queue.count
        scan = QueueScan(filter, in: queue.extent)
    }

    /// The number of messages whose state was examined so far.
    package var examinedCount: Int { scan.examinedCount }

    /// `true` if the next portion can run.
    var canContinue: Bool { state == .running && !isWaiting }

    /// Ends a running operation. Messages that were already published to another topic are still
    /// finished in the channel.
    func cancel() { end(.cancelled) }

    func end(_ state: State) {
        if self.state == .running { self.state = state }
    }

    // MARK: Portions

    /// Runs the next portion.
    func runPortion(of broker: Broker) {
        guard !channel.isDeleted else { return end(.failed(.channelNotFound)) }
        do throws(InspectionError) {
            switch action {
            case .count:
                try scanPortion(atMost: .max, readsMessages: false) { _, _, _ in nil }
            case .change(.move(let name)):
                try move(to: try broker.destination(name, of: channel), broker)
            case .change(let action): try change(action, broker)
            }
        } catch {
            return end(.failed(error))
        }
        if scan.isFinished, !isWaiting { finish(broker) }
    }

    private func change(_ action: MessageAction, _ broker: Broker) throws(InspectionError) {
        var selected: [(Segment, FoundMessage)] = []
        try scanPortion(atMost: changesInPortion, readsMessages: false) {
            segment, message, _ in
            selected.append((segment, message))
            return nil
        }
        // Messages can be deleted even if the memory is full, because this frees memory.
        guard
            action == .delete || selected.isEmpty
                || broker.hasMemory(for: selected.count * DeliveryTracker.changeBytes)
        else { throw .memoryIsFull }
        for (segment, message) in selected where !broker.isMoving(message, segment, channel) {
            broker.change(message, of: segment, action, in: channel)
            changedCount += 1
        }
    }

    private func move(to topic: Topic, _ broker: Broker) throws(InspectionError) {
        var published: [MessageID] = []
        let result = Result { () throws(InspectionError) in
            try scanPortion(atMost: changesInPortion, readsMessages: true) {
                segment, message, frame in
                guard !broker.isMoving(message, segment, channel) else { return nil }
                if let failure = broker.publish(frame!, to: topic) { return failure }
                published.append(segment.id(of: message))
                return nil
            }
        }
        // The published messages are finished even if the next one was refused.
        if !published.isEmpty { finishOnceSynced(published, broker) }
        try result.get()
    }

    private func finishOnceSynced(_ published: [MessageID], _ broker: Broker) {
        isWaiting = true
        broker.finishOnceSynced(published, of: channel) { [self] failure in
            isWaiting = false
            if let failure { return end(.failed(.notStored(failure))) }
            changedCount += published.count
        }
    }

    /// Examines one portion.
    ///
    /// - Parameter visit: a closure that receives each selected message, and returns the reason why the
    ///   operation cannot continue.
    private func scanPortion(
        atMost limit: Int, readsMessages: Bool,
        _ visit: (Segment, FoundMessage, Bytes?) -> InspectionError?
    ) throws(InspectionError) {
        var failure: InspectionError?
        do throws(MessageLogError) {
            try scan.runPortion(
                of: .channel(channel), readsMessages: readsMessages, atMost: limit
            ) {
                selectedCount += 1
                failure = visit($0, $1, $2)
                return failure == nil
            }
        } catch {
            throw .unreadable(error)
        }
        if let failure { throw failure }
    }

    /// Ends the operation once its changes are durable.
    private func finish(_ broker: Broker) {
        guard action != .count else { return end(.finished) }
        isWaiting = true
        broker.whenDurable { [self] failure in
            isWaiting = false
            end(failure.map { .failed(.notStored($0)) } ?? .finished)
        }
    }
}

extension Segment {
    func id(of message: FoundMessage) -> MessageID {
        MessageID(serial << 16 + UInt64(message.index))
    }
}

extension Broker {
    /// Returns `true` if a message was published to another topic and is not finished yet.
    func isMoving(
        _ message: FoundMessage, _ segment: Segment, _ channel: Channel
    ) -> Bool {
        pendingMoves.contains(segment.id(of: message), of: channel)
            || context.moves.isPending(
                FailedSetMoves.Source(channel: channel, segment: segment, index: message.index))
    }
}
