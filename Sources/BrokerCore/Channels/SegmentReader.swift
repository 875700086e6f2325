/// Reads segments from the message log, for the deliveries of one channel in one loop iteration.
///
/// If there is enough memory, a segment stays in memory after the read. Otherwise the segment is
/// temporary: its messages are copied to the outboxes, each consumer receives few of them at a time,
/// and ``end()`` releases its memory. Channels with messages on disk therefore progress even if the
/// memory is full. Together they exceed ``BrokerOptions/maxMemoryBytes`` by at most one segment and
/// a few messages for each consumer.
struct SegmentReader {
    private let topic: Topic
    /// The temporary segment, whose memory ``end()`` releases.
    private var temporary: Segment?

    /// The result of a read: the next message can be delivered to a consumer now, or the reason why
    /// it cannot.
    enum Result {
        case isReadable
        /// The segment cannot be read from the message log now.
        case isUnreadable
        /// There is no memory for another segment in this iteration.
        case needsNextIteration
        /// The consumer must first receive the bytes that already wait in its outbox.
        case needsEmptyOutbox
    }

    /// The number of unsent bytes from which on a consumer receives no more messages of a temporary
    /// segment.
    static let maxUnsentBytes = 64 << 10

    init(_ topic: Topic) { self.topic = topic }

    /// Returns `true` if the segment's messages must be copied, because their memory is released soon.
    @inline(__always)
    func mustCopy(_ segment: Segment) -> Bool { segment === temporary }

    /// Reads a segment from the message log unless it is in memory.
    ///
    /// - Parameter session: the consumer of the next message.
    @inline(__always)
    mutating func read(_ segment: Segment, for session: Session) -> Result {
        if segment.isResident, temporary == nil { return .isReadable }
        return readFromLog(segment, for: session)
    }

    private mutating func readFromLog(_ segment: Segment, for session: Session) -> Result {
        let context = topic.context
        let hasCapacity = session.backlogBytes < Self.maxUnsentBytes
        if segment.isResident {
            return !mustCopy(segment) || hasCapacity ? .isReadable : .needsEmptyOutbox
        }
        let staysInMemory = context.hasMemory(toReadBack: segment.loadedBytes)
        if !staysInMemory {
            guard temporary == nil else { return .needsNextIteration }
            guard hasCapacity else { return .needsEmptyOutbox }
        }
        context.budget.deliveries.charge(WorkCost.bytes(segment.usedBytes))
        guard topic.pageIn(segment) else { return .isUnreadable }
        if !staysInMemory { temporary = segment }
        return .isReadable
    }

    /// Releases the memory of the temporary segment.
    mutating func end() {
        if let segment = temporary { topic.pageOut(segment) }
        temporary = nil
    }
}
