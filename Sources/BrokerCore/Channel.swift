import DequeModule
import NSQWire

/// One copy of a topic's stream: a cursor over the topic's segments, and the deliveries between
/// the cursor and the last FIN.
///
/// A message is ahead of the cursor, or in flight, or waits for another delivery, or is deferred,
/// or is settled. Consumers of a channel compete: each message goes to one of them.
package final class Channel {
    package let name: ChannelName
    /// Told apart from a channel of the same name before it.
    let number: UInt64
    /// The topic owns its channels, and takes them along when it goes.
    unowned let topic: Topic
    var isPaused = false
    var isTouched = false
    var isDeleted = false

    /// By place; a place that its consumer has left is `nil` until the next one takes it.
    var consumers: [Session?] = []
    var consumerCount = 0
    var nextConsumer = 0

    // INVARIANT: slots stand in the order of their segments' serials; a slot's number is
    // `firstShare` plus its place, and stays.
    var shares = Deque<ShareSlot>()
    var firstShare = 0
    /// The share an ID was last found in: FINs come in runs.
    var lastShare = 0

    /// What is ahead of the cursor: as a rule one stretch that ends where the topic's does. A full
    /// ephemeral channel leaves gaps.
    var ahead = Deque<Range<Int>>()
    var cursorShare = 0

    /// How long messages took, if anybody wants to know.
    var latency: LatencyWindow?

    var deliveries = DeliveryPool()
    var deferredQueue = DeadlineQueue<Int32>()
    var deferredCount = 0
    var inFlightCount = 0

    /// Messages that came in and that were taken, counted to give each redelivery its turn.
    var acceptedCount: Int64 = 0
    var takenCount: Int64 = 0

    var openAlarms = OpenAlarms()

    /// Its messages outlive the broker.
    let isNoted: Bool
    /// What the ledger is to know at the next write.
    var notes = ChannelNotes()

    var messageCount = 0
    var requeueCount = 0
    var timeoutCount = 0

    struct ShareSlot {
        var serial: UInt64
        var share: Share?
    }

    init(name: ChannelName, number: UInt64, topic: Topic) {
        self.name = name
        self.number = number
        self.topic = topic
        isNoted = topic.isNoted && !name.isEphemeral
    }

    /// Messages to be delivered now: ahead of the cursor, or waiting for another delivery.
    var depth: Int {
        Int(acceptedCount - takenCount) + deliveries.lists[Int(DeliveryPool.waitingList)].count
    }

    func pause(_ isPaused: Bool, _ turn: Turn) {
        self.isPaused = isPaused
        turn.touch(self)
    }

    // MARK: Segments

    /// Takes note of a segment of which `settled` messages do not concern this channel.
    func adopt(_ segment: Segment, settled: Int) {
        segment.claims += 1
        shares.append(
            ShareSlot(serial: segment.serial, share: Share(segment, settled: settled)))
    }

    func segmentWasSealed(_ segment: Segment) {
        guard let number = shareNumber(serial: segment.serial) else { return }
        letGoIfDone(number)
    }

    func segmentWasCompacted(_ segment: Segment) { share(of: segment)?.compact() }

    /// The channel's unfinished messages in a segment that the cursor has passed, if they are few.
    ///
    /// - Returns: `nil` if they are more than `limit`, or the cursor has not passed all of them.
    func unfinished(in segment: Segment, atMost limit: Int) -> [Int]? {
        guard let share = share(of: segment) else { return [] }
        guard segment.count - share.settled <= limit else { return nil }
        let indexes = share.deliveredIndexes
        return indexes.count == segment.count - share.settled ? indexes : nil
    }

    func letGoOfAll() {
        isDeleted = true
        for number in firstShare..<firstShare + shares.count { letGo(number) }
        shares.removeAll()
    }

    func share(of segment: Segment) -> Share? {
        shareNumber(serial: segment.serial).flatMap { share($0) }
    }

    @inline(__always)
    func share(_ number: Int) -> Share? { shares[number - firstShare].share }

    func shareNumber(serial: UInt64) -> Int? {
        var low = 0
        var high = shares.count
        while low < high {
            let middle = (low + high) / 2
            if shares[middle].serial < serial { low = middle + 1 } else { high = middle }
        }
        guard low < shares.count, shares[low].serial == serial else { return nil }
        return firstShare + low
    }

    func letGoIfDone(_ number: Int) {
        guard share(number)?.isDone == true else { return }
        letGo(number)
        while shares.first.map({ $0.share == nil }) == true {
            shares.removeFirst()
            firstShare += 1
        }
        cursorShare = max(cursorShare, firstShare)
    }

    func letGo(_ number: Int) {
        guard let share = share(number) else { return }
        shares[number - firstShare].share = nil
        topic.letGo(share.segment)
    }

    func settle(_ count: Int, in number: Int) {
        share(number)!.settled += count
        letGoIfDone(number)
    }

    // MARK: Coming in

    /// Takes the messages with these ordinals; an ephemeral channel only as many as it may hold.
    func accept(_ ordinals: Range<Int>, _ turn: Turn) {
        messageCount += ordinals.count
        var taken = ordinals
        if name.isEphemeral {
            let room = max(0, turn.options.memoryQueueSize - depth)
            taken = ordinals.prefix(room)
            drop(taken.upperBound..<ordinals.upperBound)
        }
        guard !taken.isEmpty else { return }
        acceptedCount += Int64(taken.count)
        if let last = ahead.indices.last, ahead[last].upperBound == taken.lowerBound {
            ahead[last] = ahead[last].lowerBound..<taken.upperBound
        } else {
            ahead.append(taken)
        }
        turn.touch(self)
    }

    /// Takes a deferred message.
    func accept(_ segment: Segment, _ index: Int, due: Int64, _ turn: Turn) {
        guard let number = shareNumber(serial: segment.serial) else { return }
        messageCount += 1
        let id = deliveries.allocate()
        deliveries[id].share = number
        deliveries[id].index = UInt16(index)
        deliveries[id].attempts = 0
        share(number)!.setState(id, of: index)
        `defer`(id, until: due, turn)
    }

    /// Has nothing to do with these messages of the topic's end, which it was not handed.
    func drop(_ ordinals: Range<Int>) {
        for number in (firstShare..<firstShare + shares.count).reversed() {
            guard let segment = share(number)?.segment, !segment.isDeferred else { continue }
            guard segment.endOrdinal > ordinals.lowerBound else { break }
            let overlap = (segment.firstOrdinal..<segment.endOrdinal).clamped(to: ordinals)
            if !overlap.isEmpty { settle(overlap.count, in: number) }
        }
    }

    /// Has nothing to do with one deferred message, which it was not handed.
    func dropDeferred(in segment: Segment) {
        shareNumber(serial: segment.serial).map { settle(1, in: $0) }
    }

    // MARK: Consumers

    func addConsumer(_ session: Session) {
        if consumerCount == consumers.count { consumers.append(nil) }
        let place = consumers.firstIndex { $0 == nil }!
        consumers[place] = session
        consumerCount += 1
        session.channel = self
        session.consumerSlot = Int32(place)
    }

    /// A consumer has gone: what it held goes back at once, rather than at its timeout as in nsqd,
    /// which only keeps others waiting.
    func removeConsumer(_ session: Session, _ turn: Turn) {
        let slot = session.consumerSlot
        consumers[Int(slot)] = nil
        while let last = consumers.last, last == nil { consumers.removeLast() }
        consumerCount -= 1
        session.channel = nil
        guard session.inFlightCount > 0, !isDeleted else { return }
        let lost = deliveries.live
            .filter {
                self.deliveries[$0].state == .inFlight && self.deliveries[$0].consumer == slot
            }
            .sorted { self.deliveries.comesBefore($0, $1) }
        for id in lost { takeBack(id, from: session, turn) }
    }
}
