import DequeModule
import NSQWire

/// A stream of messages. It owns the segments they lie in; its channels are cursors over them.
///
/// Messages have ordinals, counted from where the topic's start has put them. Those below `released`
/// have been handed to the channels; those from there to `published` are held: because the topic is
/// paused, or has no channel yet, or because the turn has not ended.
///
/// Deferred messages lie in segments of their own, so that the run of the others stays whole; each
/// is handed to every channel by itself.
package final class Topic {
    package let name: TopicName
    private let nameBytes: [UInt8]
    private let isEphemeral: Bool
    /// Where its messages are noted, if they are to outlive the broker.
    let ledger: (any Ledger)?
    private(set) var isPaused = false
    private(set) var isDeleted = false
    /// It may have channels elsewhere that are to get its first messages, too; until that is known
    /// it keeps them.
    var awaitsChannels = false
    var isTouched = false

    private(set) var channels: [Channel] = []

    /// Every segment that somebody may still need, by serial.
    var segments = Deque<Segment>()
    var tail: Segment?
    var deferredTail: Segment?
    /// The sealed ones of a noted topic that are in memory.
    var residents: [Segment] = []
    /// The size of the next slab, as a place in ``SlabPool/sizes``.
    var nextSize = 0
    /// `storedBytes` when it was last looked after.
    var storedWhenSwept = 0

    var published = 0
    /// Those below are in the ledger: the same as `published` where nothing is noted.
    var written: Int { isNoted ? noted.written : published }
    var released = 0
    /// So many ordinals from `released` on have no message: the ledger has lost them.
    var lostCount = 0
    var held: [HeldMessage] = []

    var messageCount = 0
    var messageBytes = 0
    /// What is, and what is not yet, in the ledger.
    var noted = NotedUpTo()

    /// A deferred message that no channel has yet.
    struct HeldMessage {
        var segment: Segment
        var index: Int
        var due: Int64

        var isWritten: Bool { index < segment.writtenCount }
    }

    /// - Parameter firstOrdinal: behind all that a topic of this name had before: what is noted of
    ///   its end may be lost where its messages are not.
    init(name: TopicName, ledger: (any Ledger)?, firstOrdinal: Int) {
        self.name = name
        published = firstOrdinal
        released = firstOrdinal
        noted.written = firstOrdinal
        nameBytes = Array(name.text.utf8)
        isEphemeral = name.isEphemeral
        self.ledger = name.isEphemeral ? nil : ledger
    }

    /// Its messages outlive the broker.
    var isNoted: Bool { ledger != nil }

    /// Messages that no channel has yet.
    var depth: Int { published - released - lostCount + held.count }

    /// What all messages so far took of slabs.
    var storedBytes: Int { messageBytes + messageCount * Segment.byteCount(bodyBytes: 0) }

    @inline(__always)
    func isNamed(_ bytes: Bytes) -> Bool { bytes.elementsEqual(nameBytes) }

    // MARK: Publishing

    /// Appends one message.
    func publish(_ body: Bytes, _ turn: Turn) {
        count(1, bytes: body.count, turn)
        guard room(for: 1, turn) > 0 else { return }
        let timestamp = turn.now.wall
        if tail?.append(body, timestampNanoseconds: timestamp) != true {
            roll(forBodyBytes: body.count, turn)
            tail?.append(body, timestampNanoseconds: timestamp)
        }
        published += 1
    }

    /// Appends `count` messages of an MPUB's body, whose sizes have been checked.
    func publish(_ count: Int, from batch: Bytes, _ turn: Turn) {
        self.count(count, bytes: batch.count - 4 * count, turn)
        var offset = 0
        var left = room(for: count, turn)
        while left > 0 {
            tail?.append(
                from: batch, at: &offset, left: &left, timestampNanoseconds: turn.now.wall)
            published = tail?.endOrdinal ?? published
            guard left > 0 else { return }
            roll(forBodyBytes: Int(batch.bigEndian(at: offset, as: Int32.self)), turn)
        }
    }

    /// Appends a message that is handed out at `due`, not before.
    func publish(_ body: Bytes, deferredUntil due: Int64, _ turn: Turn) {
        count(1, bytes: body.count, turn)
        guard room(for: 1, turn) > 0 else { return }
        let timestamp = turn.now.wall
        if deferredTail?.append(body, timestampNanoseconds: timestamp) != true {
            rollDeferred(forBodyBytes: body.count, turn)
            deferredTail?.append(body, timestampNanoseconds: timestamp)
        }
        let segment = deferredTail!
        segment.heldCount += 1
        held.append(HeldMessage(segment: segment, index: segment.count - 1, due: due))
    }

    private func count(_ messages: Int, bytes: Int, _ turn: Turn) {
        messageCount += messages
        messageBytes += bytes
        noted.unwrittenCount += messages
        noted.unwrittenBytes += bytes
        turn.touch(self)
    }

    /// How many of `count` more messages it takes. An ephemeral topic that keeps what comes, as it
    /// is paused or has no channel yet, keeps only so many; the rest is dropped, as in nsqd.
    @inline(__always)
    private func room(for count: Int, _ turn: Turn) -> Int {
        guard isEphemeral, holdsMessages else { return count }
        return min(count, max(0, turn.options.memoryQueueSize - depth))
    }

    private func roll(forBodyBytes bodyBytes: Int, _ turn: Turn) {
        seal(tail)
        tail = open(forBodyBytes: bodyBytes, isDeferred: false, turn)
    }

    private func rollDeferred(forBodyBytes bodyBytes: Int, _ turn: Turn) {
        seal(deferredTail)
        deferredTail = open(forBodyBytes: bodyBytes, isDeferred: true, turn)
    }

    /// A new segment with room for a body of `bodyBytes` at least, known to every channel.
    func open(forBodyBytes bodyBytes: Int, isDeferred: Bool, _ turn: Turn) -> Segment {
        let least = Segment.byteCount(bodyBytes: bodyBytes)
        let slab = turn.slabs.slab(of: max(SlabPool.sizes[nextSize], least))
        nextSize = min(nextSize + 1, SlabPool.sizes.count - 1)
        let segment = Segment(
            serial: turn.nextSerial(), firstOrdinal: published, isDeferred: isDeferred, slab: slab)
        segments.append(segment)
        for channel in channels { channel.adopt(segment, settled: 0) }
        return segment
    }

    // MARK: Channels

    func pause(_ isPaused: Bool, _ turn: Turn) {
        // What was published before belongs to the channels, whichever turn it came in.
        handOver(turn)
        self.isPaused = isPaused
        turn.touch(self)
    }

    /// The first channel gets all that is held; a later one what comes after it.
    func addChannel(_ channel: Channel, _ turn: Turn) {
        handOver(turn)
        let place = channels.firstIndex { channel.name < $0.name } ?? channels.count
        channels.insert(channel, at: place)
        adoptAll(channel)
        turn.touch(self)
    }

    func removeChannel(_ channel: Channel) {
        channels.removeAll { $0 === channel }
        channel.letGoOfAll()
    }

    /// Makes the channel know every segment that has, or will have, something for it.
    func adoptAll(_ channel: Channel) {
        for segment in segments {
            let toCome =
                segment.isDeferred
                ? segment.heldCount
                : min(segment.count, max(0, segment.endOrdinal - released))
            guard toCome > 0 || !segment.isSealed else { continue }
            channel.adopt(segment, settled: segment.count - toCome)
        }
    }

    /// Throws away what no channel has yet.
    func empty(_ turn: Turn) {
        handOver(turn)
        let dropped = released..<written
        released = written
        lostCount = 0
        for channel in channels { channel.drop(dropped) }
        for message in takeHeld() {
            for channel in channels { channel.dropDeferred(in: message.segment) }
        }
        for segment in segments { removeIfUnneeded(segment) }
    }

    func delete() {
        isDeleted = true
        for channel in channels { removeChannel(channel) }
        // A producer that remembers the topic must not keep its memory.
        for segment in segments { ledger?.forget(segment) }
        segments.removeAll()
        residents.removeAll()
        held.removeAll()
        tail = nil
        deferredTail = nil
    }
}
