import NSQWire
import TallyBasics

/// The messages of one channel that are in flight, wait for a redelivery, or are deferred. All
/// times are on the monotonic clock, in nanoseconds.
final class DeliveryTracker {
    private let account: MemoryAccount?
    private var pool: DeliveryPool
    private var deferred: DeferredDeliveries
    private(set) var inFlightCount = 0
    private(set) var requeueCount = 0
    private(set) var timeoutCount = 0

    /// An estimate of the memory, in bytes, that the change of one waiting message can need. It
    /// includes a delivery, its deferral, and a gap in the messages ahead of the cursor.
    static var changeBytes: Int { deferredBytes + 2 * MemoryLayout<Range<Int>>.stride }

    /// An estimate of the memory of one deferred message in a channel, in bytes.
    static let deferredBytes =
        MemoryLayout<DeliveryEntry>.stride + DeferredDeliveries.entryBytes + 8

    /// - Parameter account: the account of the memory of all deliveries.
    init(_ account: MemoryAccount? = nil) {
        self.account = account
        pool = DeliveryPool(account)
        deferred = DeferredDeliveries(account)
    }

    /// A copy of a delivery.
    @inline(__always)
    subscript(id: Int32) -> DeliveryEntry { pool[id] }

    var ids: [Int32] { Array(pool.live) }

    var waitingCount: Int { pool.waitingCount }

    var deferredCount: Int { deferred.count }

    /// The number of deliveries that the allocated memory can hold.
    var capacity: Int { pool.capacity }

    /// The number of messages whose timeout TOUCH has extended to the maximum.
    var longestTimeoutCount: Int { pool.longest.count }

    /// The number of heap operations so far on the messages whose timeout TOUCH has extended to the
    /// maximum.
    var longestStepCount: Int { pool.longest.stepCount }

    var firstWaiting: Int32? { pool.firstWaiting }

    /// A time that is not later than the earliest deadline of a message in flight or deferred.
    var nextDeadlineCheck: Int64? {
        guard let inFlight = pool.nextCheck else { return deferred.nextDeadline }
        return min(inFlight, deferred.nextDeadline ?? .max)
    }

    // MARK: Delivering

    /// Records that consecutive messages are delivered for the first time, all to one consumer.
    ///
    /// - Parameters:
    ///   - indexes: the messages' indexes in `segment`.
    ///   - number: the number of the segment in the channel.
    ///   - consumer: the consumer's slot.
    func start(
        _ indexes: Range<Int>, of segment: ChannelSegment, number: Int, to consumer: Int32,
        timeout: Int64, at now: Int64
    ) {
        let pool = pool
        let deadline = now.addingSaturated(timeout)
        pool.prepare(consumer, deadline: deadline)
        segment.reserve(indexes.upperBound)
        for index in indexes {
            let id = pool.allocate()
            pool[id].segmentNumber = number
            pool[id].index = UInt16(truncatingIfNeeded: index)
            pool[id].attempts = 1
            Self.start(id, in: pool, to: consumer, deadline: deadline, at: now)
            segment.setState(id, of: index)
        }
        inFlightCount += indexes.count
    }

    /// Starts the redelivery of a waiting message.
    ///
    /// - Returns: the number of delivery attempts, including this one.
    func restart(_ id: Int32, to consumer: Int32, timeout: Int64, at now: Int64) -> UInt16 {
        pool.remove(id)
        pool[id].attempts &+= 1
        let deadline = now.addingSaturated(timeout)
        pool.prepare(consumer, deadline: deadline)
        Self.start(id, in: pool, to: consumer, deadline: deadline, at: now)
        inFlightCount += 1
        return pool[id].attempts
    }

    @inline(__always)
    private static func start(
        _ id: Int32, in pool: DeliveryPool, to consumer: Int32, deadline: Int64, at now: Int64
    ) {
        pool[id].state = .inFlight
        pool[id].consumer = consumer
        pool[id].deliveredAt = now
        pool[id].sortKey = deadline
        pool.appendInFlight(id)
    }

    /// Removes a message that waits for its redelivery, but will not be delivered again.
    func removeWithoutRedelivery(_ id: Int32) {
        pool.remove(id)
        pool.free(id)
    }

    // MARK: Commands of consumers

    /// Finishes a message in flight.
    func finish(_ id: Int32) {
        endFlight(id)
        pool.free(id)
    }

    /// Executes consecutive plain FINs (`FIN `, message ID, newline) for messages of one segment. The
    /// method stops before a FIN that would fail.
    ///
    /// - Parameters:
    ///   - place: the address of the first command; advanced to the end of the last executed
    ///     command.
    ///   - last: the last address at which a command can start.
    ///   - consumer: the slot of the consumer that sent the commands.
    ///   - didFinish: a closure that is called with the index of each finished message.
    /// - Returns: the number of executed commands.
    @inline(__always)
    func finishRun(
        at place: inout UnsafeRawPointer, upTo last: UnsafeRawPointer, of segment: ChannelSegment,
        by consumer: Int32, _ didFinish: (Int) -> Void
    ) -> Int {
        let idStart = segment.segment.idStart
        let idMiddle = segment.segment.idMiddle
        let pool = pool
        var finished = 0
        while place <= last, place.isPlainFinish,
            place.loadUnaligned(fromByteOffset: 4, as: UInt64.self) == idStart,
            place.loadUnaligned(fromByteOffset: 12, as: UInt32.self) == idMiddle,
            let index = Hex.lastFour(place.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
        {
            let id = segment.state(of: index)
            guard id >= 0, pool[id].state == .inFlight, pool[id].consumer == consumer else { break }
            pool.remove(id)
            pool.free(id)
            segment.setState(ChannelSegment.settled, of: index)
            didFinish(index)
            finished += 1
            place += FinishLine.byteCount
        }
        inFlightCount -= finished
        return finished
    }

    /// Requeues a message in flight.
    ///
    /// - Parameter position: the message's position in the queue: the number of messages that the
    ///   channel has accepted before.
    func requeue(_ id: Int32, behind position: Int64) {
        requeueCount += 1
        endFlight(id)
        wait(id, behind: position)
    }

    /// Requeues a message in flight with a delay.
    func requeue(_ id: Int32, until deadline: Int64) {
        requeueCount += 1
        endFlight(id)
        `defer`(id, until: deadline)
    }

    /// Restarts the timeout of a message in flight.
    ///
    /// - Parameters:
    ///   - timeout: the consumer's timeout.
    ///   - longest: the maximum time between the delivery and the new deadline.
    func touch(_ id: Int32, timeout: Int64, longest: Int64, at now: Int64) {
        let latest = pool[id].deliveredAt.addingSaturated(longest)
        let deadline = now.addingSaturated(timeout)
        guard pool[id].sortKey != min(deadline, latest) else { return }
        pool.remove(id)
        pool[id].sortKey = min(deadline, latest)
        guard deadline <= latest else { return pool.appendLongest(id) }
        pool.prepare(pool[id].consumer, deadline: deadline)
        pool.appendInFlight(id)
    }

    // MARK: Timeouts and deferrals

    /// Requeues one message that was in flight to a disconnected consumer.
    ///
    /// - Parameter consumer: the consumer's slot.
    /// - Returns: `false` if no message is in flight to the consumer.
    func requeueOne(of consumer: Int32, behind position: Int64) -> Bool {
        guard let id = pool.firstInFlight(to: consumer) else { return false }
        requeueUnanswered(id, behind: position)
        return true
    }

    private func requeueUnanswered(_ id: Int32, behind position: Int64) {
        endFlight(id)
        wait(id, behind: position)
    }

    /// Requeues one message whose timeout has passed.
    ///
    /// - Returns: the slot of the consumer to which the message was in flight; `nil` if no timeout
    ///   has passed.
    func requeueTimedOut(at now: Int64, behind position: Int64) -> Int32? {
        guard let id = pool.firstDue(at: now) else { return nil }
        timeoutCount += 1
        requeueUnanswered(id, behind: position)
        return pool[id].consumer
    }

    /// Queues the deferred messages whose deadline has passed.
    ///
    /// - Parameter limit: the maximum number of messages.
    /// - Returns: the number of queued messages.
    func queueDueDeferred(at now: Int64, behind position: Int64, atMost limit: Int) -> Int {
        let pool = pool
        var count = 0
        while count < limit,
            let id = deferred.popDue(at: now, { Self.isDeferred($0, until: $1, in: pool) })
        {
            wait(id, behind: position)
            count += 1
        }
        return count
    }

    /// Returns `true` if the delivery is deferred until `deadline`, and `false` for an outdated entry of
    /// ``DeferredDeliveries``.
    private static func isDeferred(
        _ id: Int32, until deadline: Int64, in pool: DeliveryPool
    ) -> Bool {
        pool[id].state == .deferred && pool[id].sortKey == deadline
    }

    /// Adds a message that is deferred before its first delivery.
    ///
    /// - Returns: the ID of the new delivery.
    func addDeferred(index: Int, segmentNumber: Int, until deadline: Int64) -> Int32 {
        let id = add(index: index, segmentNumber: segmentNumber)
        `defer`(id, until: deadline)
        return id
    }

    private func add(index: Int, segmentNumber: Int) -> Int32 {
        let id = pool.allocate()
        pool[id].segmentNumber = segmentNumber
        pool[id].index = UInt16(truncatingIfNeeded: index)
        pool[id].attempts = 0
        return id
    }

    private func endFlight(_ id: Int32) {
        pool.remove(id)
        inFlightCount -= 1
    }

    private func wait(_ id: Int32, behind position: Int64) {
        pool[id].state = .waiting
        pool[id].sortKey = position
        pool.appendWaiting(id)
    }

    private func `defer`(_ id: Int32, until deadline: Int64) {
        pool[id].state = .deferred
        pool[id].sortKey = deadline
        deferred.insert(id, deadline: deadline)
    }

    // MARK: Administration

    /// Removes a message from the messages in flight, the redeliveries or the deferred messages.
    /// The caller then calls one of the methods below.
    func withdraw(_ id: Int32) {
        let pool = pool
        switch pool[id].state {
        case .inFlight: endFlight(id)
        case .waiting: pool.remove(id)
        case .deferred:
            pool[id].state = .waiting
            deferred.removeOne { Self.isDeferred($0, until: $1, in: pool) }
        case .free: preconditionFailure("a message with a delivery has an entry in the pool")
        }
    }

    /// Ends the delivery of a withdrawn message.
    func finishWithdrawn(_ id: Int32) { pool.free(id) }

    /// Puts a withdrawn message at the end of the redeliveries.
    func requeueWithdrawn(_ id: Int32, behind position: Int64) { wait(id, behind: position) }

    /// Defers a withdrawn message.
    func deferWithdrawn(_ id: Int32, until deadline: Int64) { `defer`(id, until: deadline) }

    // MARK: Memory

    /// Discards all messages. The counters of requeues and timeouts keep their values.
    func removeAll() {
        pool = DeliveryPool(account)
        deferred.removeAll()
        inFlightCount = 0
    }

    /// Releases the pool's memory if it is much larger than needed and holds no deliveries.
    func releaseUnusedMemory() {
        if pool.isOversized { pool = DeliveryPool(account) }
    }

    // MARK: Recovery

    // INVARIANT: until `endRecovery()`, deliveries are in no list, and the counters do not include
    // them.

    /// Adds a recovered message that waits for a redelivery.
    func recover(index: Int, segmentNumber: Int, attempts: UInt16) -> Int32 {
        let id = add(index: index, segmentNumber: segmentNumber)
        pool[id].attempts = attempts
        setRecovered(id, deferredUntil: nil)
        return id
    }

    /// Adds a recovered message that is deferred before its first delivery.
    func recoverDeferred(index: Int, segmentNumber: Int, until deadline: Int64) -> Int32 {
        let id = add(index: index, segmentNumber: segmentNumber)
        setRecovered(id, deferredUntil: deadline)
        return id
    }

    /// Updates the number of attempts and the deferral of a recovered message.
    ///
    /// - Parameter deadline: the end of the deferral; `nil` if the message waits for a redelivery.
    func updateRecovered(_ id: Int32, attempts: UInt16, deferredUntil deadline: Int64?) {
        pool[id].attempts = max(pool[id].attempts, attempts)
        setRecovered(id, deferredUntil: deadline)
    }

    private func setRecovered(_ id: Int32, deferredUntil deadline: Int64?) {
        pool[id].state = deadline == nil ? .waiting : .deferred
        pool[id].sortKey = deadline ?? 0
    }

    func removeRecovered(_ id: Int32) { pool.free(id) }

    /// Sets the segment number of a recovered message, which is known at the end of the recovery.
    func setSegmentNumber(_ number: Int, of id: Int32) { pool[id].segmentNumber = number }

    /// Inserts each recovered delivery into the deferred messages or the redeliveries. Redeliveries
    /// precede all messages that were not delivered yet.
    func endRecovery() {
        for id in pool.live.sorted(by: { pool.comesBefore($0, $1) }) {
            if pool[id].state == .deferred {
                `defer`(id, until: pool[id].sortKey)
            } else {
                wait(id, behind: 0)
            }
        }
    }
}

extension UnsafeRawPointer {
    /// `true` if the address holds `FIN `, any sixteen bytes, and a newline.
    @inline(__always)
    var isPlainFinish: Bool {
        loadUnaligned(as: UInt32.self) == FinishLine.prefixWord
            && load(fromByteOffset: FinishLine.byteCount - 1, as: UInt8.self) == 0x0a
    }
}
