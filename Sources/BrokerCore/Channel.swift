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
    private(set) var isPaused = false
    var isTouched = false
    private(set) var isDeleted = false

    /// By place; a place that its consumer has left is `nil` until the next one takes it.
    private(set) var consumers: [Session?] = []
    private(set) var consumerCount = 0
    private var nextConsumer = 0

    // INVARIANT: slots stand in the order of their segments' serials; a slot's number is
    // `firstShare` plus its place, and stays.
    private var shares = Deque<ShareSlot>()
    private var firstShare = 0
    /// The share an ID was last found in: FINs come in runs.
    private var lastShare = 0

    /// What is ahead of the cursor: as a rule one stretch that ends where the topic's does. A full
    /// ephemeral channel leaves gaps.
    private var ahead = Deque<Range<Int>>()
    private var cursorShare = 0

    var deliveries = DeliveryPool()
    private var deferredQueue = DeadlineQueue<Int32>()
    private(set) var deferredCount = 0
    private(set) var inFlightCount = 0

    /// Messages that came in and that were taken, counted to give each redelivery its turn.
    private var acceptedCount: Int64 = 0
    private var takenCount: Int64 = 0

    private var openAlarms = OpenAlarms()

    private(set) var messageCount = 0
    private(set) var requeueCount = 0
    private(set) var timeoutCount = 0

    private struct ShareSlot {
        var serial: UInt64
        var share: Share?
    }

    init(name: ChannelName, number: UInt64, topic: Topic) {
        self.name = name
        self.number = number
        self.topic = topic
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

    private func share(of segment: Segment) -> Share? {
        shareNumber(serial: segment.serial).flatMap { share($0) }
    }

    @inline(__always)
    private func share(_ number: Int) -> Share? { shares[number - firstShare].share }

    private func shareNumber(serial: UInt64) -> Int? {
        var low = 0
        var high = shares.count
        while low < high {
            let middle = (low + high) / 2
            if shares[middle].serial < serial { low = middle + 1 } else { high = middle }
        }
        guard low < shares.count, shares[low].serial == serial else { return nil }
        return firstShare + low
    }

    private func letGoIfDone(_ number: Int) {
        guard share(number)?.isDone == true else { return }
        letGo(number)
        while shares.first.map({ $0.share == nil }) == true {
            shares.removeFirst()
            firstShare += 1
        }
        cursorShare = max(cursorShare, firstShare)
    }

    private func letGo(_ number: Int) {
        guard let share = share(number) else { return }
        shares[number - firstShare].share = nil
        topic.letGo(share.segment)
    }

    private func settle(_ count: Int, in number: Int) {
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

    // MARK: Handing out

    /// Gives ready consumers what there is, in turn.
    func handOut(_ turn: Turn) {
        guard !isDeleted else { return }
        defer { setAlarm(turn) }
        guard !isPaused, consumerCount > 0 else { return }
        var refusals = 0
        var leftInRound = 0
        var share = 0
        while depth > 0, refusals < consumers.count {
            if leftInRound == 0 {
                leftInRound = consumers.count
                share = fairShare
            }
            leftInRound -= 1
            if nextConsumer >= consumers.count { nextConsumer = 0 }
            let session = consumers[nextConsumer]
            nextConsumer += 1
            let room = session?.room(unsentLimit: turn.options.maxUnsentBytes) ?? 0
            guard let session, room > 0 else {
                refusals += 1
                continue
            }
            refusals = 0
            deliver(to: session, atMost: min(room, share), turn)
            turn.touch(session)
        }
    }

    /// How many messages each consumer gets before it is another's turn: the same in a round.
    private var fairShare: Int {
        consumerCount == 1 ? .max : min(256, max(1, depth / consumerCount))
    }

    /// Delivers a run of messages that are due, at least one, until there is enough to send.
    private func deliver(to session: Session, atMost limit: Int, _ turn: Turn) {
        var left = limit
        while left > 0, session.backlogBytes < turn.options.maxUnsentBytes {
            let waiting = deliveries.firstWaiting
            // Those that came before it into the queue go first.
            let before = waiting.map { Int(deliveries[$0].due - takenCount) } ?? .max
            if let waiting, ahead.isEmpty || before <= 0 {
                redeliver(waiting, to: session, turn)
                left -= 1
            } else if !ahead.isEmpty {
                left -= deliverRun(to: session, atMost: min(left, before), turn)
            } else {
                return
            }
        }
    }

    private func redeliver(_ id: Int32, to session: Session, _ turn: Turn) {
        deliveries.remove(id)
        if isSampledOut(session, turn) { return settle(id) }
        let delivery = deliveries[id]
        deliveries[id].attempts = delivery.attempts &+ 1
        session.outbox.append(
            redelivery: share(delivery.share)!.segment.frame(at: Int(delivery.index)),
            attempts: deliveries[id].attempts)
        let list = deliveries.list(ofTimeout: session.messageTimeout)
        start(id, with: session, list: list, turn.now.monotonic)
        inFlightCount += 1
        session.inFlightCount += 1
        session.deliveredCount += 1
    }

    @inline(__always)
    private func start(_ id: Int32, with session: Session, list: Int32, _ now: Int64) {
        deliveries[id].state = .inFlight
        deliveries[id].consumer = session.consumerSlot
        deliveries[id].deliveredAt = now
        deliveries[id].due = now + session.messageTimeout
        deliveries.append(id, to: list)
    }

    /// Delivers messages from the cursor on, as far as one segment has them in a row.
    ///
    /// - Returns: how many the cursor has passed.
    private func deliverRun(to session: Session, atMost limit: Int, _ turn: Turn) -> Int {
        let stretch = ahead[0]
        let share = shareAtCursor(stretch.lowerBound)
        let segment = share.segment
        let start = stretch.lowerBound - segment.firstOrdinal
        let due =
            start..<min(
                start + limit, segment.count, stretch.upperBound - segment.firstOrdinal)
        let end = segment.end(
            of: due, within: turn.options.maxUnsentBytes - session.backlogBytes)
        move(cursorTo: segment.firstOrdinal + end, of: stretch)
        if session.sampleRate > 0 {
            deliverSample(start..<end, of: cursorShare, to: session, turn)
        } else {
            deliverAll(start..<end, of: share, to: session, turn)
        }
        return end - start
    }

    /// Makes a delivery of each record, and one piece to write of all of them.
    private func deliverAll(
        _ indexes: Range<Int>, of share: Share, to session: Session, _ turn: Turn
    ) {
        let list = deliveries.list(ofTimeout: session.messageTimeout)
        let now = turn.now.monotonic
        let number = cursorShare
        let deliveries = deliveries
        share.reach(indexes.upperBound)
        for index in indexes {
            let id = deliveries.allocate()
            deliveries[id].share = number
            deliveries[id].index = UInt16(truncatingIfNeeded: index)
            deliveries[id].attempts = 1
            start(id, with: session, list: list, now)
            share.setState(id, of: index)
        }
        session.outbox.append(share.segment.slab, share.segment.byteRange(of: indexes))
        inFlightCount += indexes.count
        session.inFlightCount += indexes.count
        session.deliveredCount += indexes.count
    }

    private func deliverSample(
        _ indexes: Range<Int>, of number: Int, to session: Session, _ turn: Turn
    ) {
        let share = share(number)!
        var skipped = 0
        for index in indexes {
            if isSampledOut(session, turn) {
                share.setState(Share.settledState, of: index)
                skipped += 1
            } else {
                deliverAll(index..<index + 1, of: share, to: session, turn)
            }
        }
        settle(skipped, in: number)
    }

    /// A sampling consumer misses this one; it is gone for the channel (NSQ, `sample_rate`).
    private func isSampledOut(_ session: Session, _ turn: Turn) -> Bool {
        session.sampleRate > 0 && turn.percent() > session.sampleRate
    }

    private func shareAtCursor(_ ordinal: Int) -> Share {
        while true {
            if let share = share(cursorShare), !share.segment.isDeferred,
                ordinal < share.segment.endOrdinal
            {
                return share
            }
            cursorShare += 1
        }
    }

    private func move(cursorTo ordinal: Int, of stretch: Range<Int>) {
        takenCount += Int64(ordinal - stretch.lowerBound)
        if ordinal == stretch.upperBound {
            ahead.removeFirst()
        } else {
            ahead[0] = ordinal..<stretch.upperBound
        }
    }

    // MARK: Settling

    /// `FIN`: in flight → gone.
    ///
    /// - Throws: `E_FIN_FAILED` if it is not in flight to *this* consumer. It may have timed out and
    ///   be with another by now, and a late FIN must not take it from there.
    func finish(_ id: MessageID, by session: Session, _ turn: Turn) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .finishFailed, "FIN")
        leaveFlight(delivery, session)
        settle(delivery)
        session.finishCount += 1
        turn.touch(self)
    }

    /// Carries out the FINs that `bytes` holds at `offset`, one behind the other, as long as they
    /// are of the plain form and succeed. Whatever else comes is left to ``finish(_:by:_:)``.
    ///
    /// - Returns: how many there were.
    func finishRun(_ bytes: Bytes, at offset: inout Int, by session: Session, _ turn: Turn) -> Int {
        let start = offset
        var number = lastShare
        while finishRun(bytes, at: &offset, by: session, inShare: number) {
            guard let next = shareNumber(ofFinishAt: offset, in: bytes), next != number else {
                break
            }
            number = next
        }
        lastShare = number
        let count = (offset - start) / Command.finishBytes
        if count > 0 { turn.touch(self) }
        return count
    }

    /// Carries out those of one share.
    ///
    /// - Returns: whether another plain FIN follows, of a message that is not this share's.
    private func finishRun(
        _ bytes: Bytes, at offset: inout Int, by session: Session, inShare number: Int
    ) -> Bool {
        var place = bytes.baseAddress! + offset
        let last = bytes.baseAddress! + bytes.count - Command.finishBytes
        guard place <= last, place.isPlainFinish else { return false }
        guard number >= firstShare, number < firstShare + shares.count, let share = share(number)
        else { return true }
        let idStart = share.segment.idStart
        let idMiddle = share.segment.idMiddle
        let deliveries = deliveries
        let slot = session.consumerSlot
        var finished = 0
        while place <= last, place.isPlainFinish,
            place.loadUnaligned(fromByteOffset: 4, as: UInt64.self) == idStart,
            place.loadUnaligned(fromByteOffset: 12, as: UInt32.self) == idMiddle,
            let index = Hex.lastFour(place.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
        {
            let id = share.state(of: index)
            guard id >= 0, deliveries[id].state == .inFlight, deliveries[id].consumer == slot
            else { break }
            deliveries.remove(id)
            deliveries.free(id)
            share.setState(Share.settledState, of: index)
            finished += 1
            place += Command.finishBytes
        }
        offset += finished * Command.finishBytes
        inFlightCount -= finished
        session.inFlightCount -= finished
        session.finishCount += finished
        settle(finished, in: number)
        return place <= last && place.isPlainFinish
    }

    /// The share that the ID of the FIN at `offset` points to.
    private func shareNumber(ofFinishAt offset: Int, in bytes: Bytes) -> Int? {
        MessageID(readingFrom: bytes.baseAddress! + offset + 4).number
            .flatMap { shareNumber(serial: $0 >> 16) }
            .flatMap { share($0) == nil ? nil : $0 }
    }

    /// `REQ`: in flight → waiting, or deferred if there is a delay.
    func requeue(
        _ id: MessageID, by session: Session, after delay: Duration, _ turn: Turn
    ) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .requeueFailed, "REQ")
        leaveFlight(delivery, session)
        requeueCount += 1
        session.requeueCount += 1
        if delay == .zero {
            wait(delivery, turn)
        } else {
            `defer`(delivery, until: turn.now.monotonic + delay.nanoseconds, turn)
        }
    }

    /// `TOUCH`: the timeout starts anew, but never beyond the longest there may be.
    func touch(_ id: MessageID, by session: Session, _ turn: Turn) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .touchFailed, "TOUCH")
        let renewed = turn.now.monotonic + session.messageTimeout
        let longest =
            deliveries[delivery].deliveredAt + turn.options.maxMessageTimeout.nanoseconds
        guard deliveries[delivery].due != min(renewed, longest) else { return }
        deliveries.remove(delivery)
        deliveries[delivery].due = min(renewed, longest)
        deliveries.append(
            delivery,
            to: renewed <= longest
                ? deliveries.list(ofTimeout: session.messageTimeout)
                : DeliveryPool.longestList)
    }

    private func inFlight(
        _ id: MessageID, to session: Session, _ code: ProtocolError.Code, _ verb: String
    ) throws(ProtocolError) -> Int32 {
        func failure(_ why: String) -> ProtocolError {
            ProtocolError(
                code, Array("\(verb) ".utf8) + id.bytes + Array(" failed \(why)".utf8))
        }
        guard let number = id.number, let place = shareNumber(serial: number >> 16),
            let state = share(place)?.state(of: Int(number & 0xffff)), state >= 0,
            deliveries[state].state == .inFlight
        else { throw failure("ID not in flight") }
        guard deliveries[state].consumer == session.consumerSlot else {
            throw failure("client does not own message")
        }
        return state
    }

    private func leaveFlight(_ id: Int32, _ session: Session) {
        deliveries.remove(id)
        inFlightCount -= 1
        session.inFlightCount -= 1
    }

    /// Done with, wherever it was: it stands in no list any more.
    private func settle(_ id: Int32) {
        let delivery = deliveries[id]
        deliveries.free(id)
        share(delivery.share)!.setState(Share.settledState, of: Int(delivery.index))
        settle(1, in: delivery.share)
    }

    // MARK: Coming back

    /// To be delivered again, after all that is in the queue now.
    private func wait(_ id: Int32, _ turn: Turn) {
        deliveries[id].state = .waiting
        deliveries[id].due = acceptedCount
        deliveries.append(id, to: DeliveryPool.waitingList)
        turn.touch(self)
    }

    private func `defer`(_ id: Int32, until due: Int64, _ turn: Turn) {
        deliveries[id].state = .deferred
        deliveries[id].due = due
        deferredCount += 1
        deferredQueue.insert(id, due: due)
        turn.touch(self)
    }

    private func takeBack(_ id: Int32, from session: Session, _ turn: Turn) {
        leaveFlight(id, session)
        wait(id, turn)
    }

    /// Deferred messages that are due wait for delivery again, and so do those whose consumer has
    /// had them for too long.
    private func expire(_ turn: Turn) {
        let now = turn.now.monotonic
        while let id = deferredQueue.popDue(at: now) {
            precondition(
                deliveries[id].state == .deferred, "a deferred message stays until it is due")
            deferredCount -= 1
            wait(id, turn)
        }
        while let id = deliveries.firstDue(at: now) {
            let session = consumers[Int(deliveries[id].consumer)]
            precondition(session != nil, "a consumer that leaves takes nothing along")
            timeoutCount += 1
            takeBack(id, from: session!, turn)
        }
    }

    /// An alarm went off.
    func alarmWentOff(_ turn: Turn) {
        openAlarms.goOff()
        expire(turn)
        turn.touch(self)
    }

    private func setAlarm(_ turn: Turn) {
        let due = min(deferredQueue.nextDue ?? .max, deliveries.nextDue ?? .max)
        guard openAlarms.add(due) else { return }
        turn.alarms.insert(.channel(number), due: due)
    }

    /// Gives back what a crowd of deliveries took, once it is gone.
    func sweep() {
        if deliveries.isIdle { deliveries = DeliveryPool() }
    }

    /// Throws away every message, whatever its state; consumers have their room back at once.
    func empty(_ turn: Turn) {
        for number in firstShare..<firstShare + shares.count { letGo(number) }
        firstShare += shares.count
        cursorShare = firstShare
        shares.removeAll()
        ahead.removeAll()
        takenCount = acceptedCount
        deliveries = DeliveryPool()
        deferredQueue.removeAll()
        deferredCount = 0
        inFlightCount = 0
        for session in consumers { session?.inFlightCount = 0 }
        topic.adoptAll(self)
        turn.touch(self)
    }
}

extension UnsafeRawPointer {
    /// `FIN `, sixteen bytes of whatever, newline.
    @inline(__always)
    fileprivate var isPlainFinish: Bool {
        loadUnaligned(as: UInt32.self) == Command.finishWord
            && load(fromByteOffset: Command.finishBytes - 1, as: UInt8.self) == 0x0a
    }
}
