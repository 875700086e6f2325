import NSQWire

/// An unfinished message that a scan has found.
struct FoundMessage {
    /// The state of the message in its queue.
    enum State {
        case ready
        /// The message is in flight to the consumer in a slot, until `deadline`.
        case inFlight(slot: Int32, deadline: Int64)
        case deferred(deadline: Int64)

        var kind: MessageFilter.State {
            switch self {
            case .ready: .ready
            case .inFlight: .inFlight
            case .deferred: .deferred
            }
        }
    }

    /// The message's index in its segment.
    var index: Int
    var attempts: UInt16 = 0
    var state: State
}

/// Examines the unfinished messages of a topic or channel in the order of their IDs, in portions of
/// bounded work.
///
/// One portion reads at most one segment from the message log. That segment is in memory only
/// during the portion.
struct QueueScan {
    let filter: MessageFilter
    /// The number of the first message ID that was not examined.
    private(set) var position: UInt64
    /// The messages to examine.
    let extent: InspectedQueue.Snapshot
    /// The number of messages whose state was examined.
    private(set) var examinedCount = 0
    /// `true` if no message is left to examine.
    private(set) var isFinished = false

    /// The maximum number of steps of one portion. Each examined message and each segment takes one
    /// step. A segment with more messages is read from the message log more than once.
    static let stepsPerPortion = 32_768
    /// The bytes of message frames after which a portion ends.
    static let bytesPerPortion = 2 << 20

    init(
        _ filter: MessageFilter, from position: UInt64 = 0,
        in extent: InspectedQueue.Snapshot = .unlimited
    ) {
        self.filter = filter
        self.position = position
        self.extent = extent
    }

    /// Examines one portion.
    ///
    /// - Parameters:
    ///   - readsMessages: `true` if `visit` needs the frames of the messages.
    ///   - limit: the maximum number of calls of `visit`.
    ///   - visit: a closure that receives each selected message with its frame, if that was read. It
    ///     must not change the queue. It returns `false` to end the portion after the message.
    /// - Throws: the error of the message log. The scan has then not advanced past the segment.
    mutating func runPortion(
        of queue: InspectedQueue, readsMessages: Bool, atMost limit: Int,
        _ visit: (Segment, FoundMessage, Bytes?) -> Bool
    ) throws(MessageLogError) {
        var portion = Portion(left: limit, readsMessages: readsMessages || filter.readsMessages)
        while portion.canContinue {
            guard position < extent.end,
                let segment = queue.segment(serialAtLeast: position >> 16),
                segment.serial << 16 < extent.end
            else {
                isFinished = true
                return
            }
            portion.steps -= 1
            let isDone = try scan(segment, of: queue, &portion, visit)
            if isDone { position = (segment.serial + 1) << 16 }
        }
    }

    /// Examines the messages of one segment from the position on.
    ///
    /// - Returns: `true` if the whole segment was examined.
    private mutating func scan(
        _ segment: Segment, of queue: InspectedQueue, _ portion: inout Portion,
        _ visit: (Segment, FoundMessage, Bytes?) -> Bool
    ) throws(MessageLogError) -> Bool {
        let steps = portion.steps
        let start = segment.serial == position >> 16 ? Int(position & 0xffff) : 0
        // `find` examines only the state and the deliveries of messages. If the filter also reads
        // the messages, it can exclude any number of those found here, so their number is not
        // limited.
        var (found, next) = queue.find(
            in: segment, from: start, filter,
            atMost: filter.readsMessages ? .max : portion.left, &portion.steps)
        let examined = steps - portion.steps
        found.removeAll { !extent.contains($0.index, serial: segment.serial) }
        var stoppedAt: Int?
        if !found.isEmpty, portion.readsMessages {
            if !segment.isResident {
                // A portion that has already read messages ends before a segment that is not in
                // memory. The next portion reads that segment from disk.
                guard portion.bytes == Self.bytesPerPortion else {
                    portion.endsNow = true
                    return false
                }
                portion.endsNow = true
            }
            try queue.topic.withResident(segment) {
                stoppedAt = Self.read(found, of: segment, filter, &portion, visit)
            }
        } else {
            stoppedAt =
                found.first { message in
                    portion.left -= 1
                    return !visit(segment, message, nil)
                }?.index
        }
        // Messages after `stoppedAt` are not counted, because the next portion examines them again.
        examinedCount += stoppedAt.map { min(examined, $0 + 1 - start) } ?? examined
        if stoppedAt != nil { portion.endsNow = true }
        guard let end = stoppedAt.map({ $0 + 1 }) ?? next else { return true }
        position = segment.serial << 16 + UInt64(end)
        return false
    }

    /// Reads messages that are in memory.
    ///
    /// - Returns: the index of the message after which the portion ends; `nil` if it continues.
    private static func read(
        _ found: [FoundMessage], of segment: Segment, _ filter: MessageFilter,
        _ portion: inout Portion, _ visit: (Segment, FoundMessage, Bytes?) -> Bool
    ) -> Int? {
        // A message that the segment does not contain was lost because the message log is damaged.
        for message in found where segment.contains(message.index) {
            let frame = segment.frame(at: message.index)
            portion.bytes -= frame.count
            var isOver = portion.bytes <= 0
            if filter.allows(frame) {
                portion.left -= 1
                if !visit(segment, message, frame) || portion.left == 0 { isOver = true }
            }
            if isOver { return message.index }
        }
        return nil
    }

    /// The remaining limits of one portion.
    private struct Portion {
        /// The number of messages that may still be visited.
        var left: Int
        let readsMessages: Bool
        var steps = QueueScan.stepsPerPortion
        var bytes = QueueScan.bytesPerPortion
        var endsNow = false

        init(left: Int, readsMessages: Bool) {
            self.left = left
            self.readsMessages = readsMessages
        }

        var canContinue: Bool { left > 0 && steps > 0 && bytes > 0 && !endsNow }
    }
}
