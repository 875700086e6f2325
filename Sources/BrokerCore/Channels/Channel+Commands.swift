import NSQWire
import TallyBasics

/// Execution of FIN, REQ and TOUCH.
extension Channel {
    /// Finishes one message.
    ///
    /// - Throws: `E_FIN_FAILED` if the message is not in flight to this consumer. After a timeout,
    ///   the message may be in flight to another consumer, which a late FIN must not affect.
    func finish(_ id: MessageID, by session: Session) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .finishFailed, .finish)
        let (index, number) = (Int(deliveries[delivery].index), deliveries[delivery].segmentNumber)
        deliveries.finish(delivery)
        latency?.add(index, of: segments[number]!.segment, context.now)
        settleMessage(index, in: number)
        session.didFinish(1)
        context.pending.add(self)
    }

    /// Executes consecutive plain FINs, which consist of `FIN `, a message ID and a newline. The
    /// method stops at the first other command and before a FIN that would fail; ``finish(_:by:)``
    /// executes that FIN.
    ///
    /// - Parameter offset: the byte offset of the first FIN in `bytes`; advanced to the end of the
    ///   last executed FIN.
    /// - Returns: the number of executed FINs.
    func finishRun(_ bytes: Bytes, at offset: inout Int, by session: Session) -> Int {
        let start = offset
        var number = segments.lastFinishedNumber
        while finishRun(bytes, at: &offset, by: session, inSegment: number) {
            guard let next = segmentNumber(ofFinishAt: offset, in: bytes), next != number else {
                break
            }
            number = next
        }
        segments.setLastFinishedNumber(number)
        let count = (offset - start) / FinishLine.byteCount
        guard count > 0 else { return 0 }
        context.pending.add(self)
        if isDurable { recordFinished(bytes.view(start..<offset)) }
        return count
    }

    /// Executes the FINs for messages of one segment.
    ///
    /// - Returns: `true` if the next command is a plain FIN for a message of another segment.
    private func finishRun(
        _ bytes: Bytes, at offset: inout Int, by session: Session, inSegment number: Int
    ) -> Bool {
        var place = bytes.baseAddress! + offset
        let last = bytes.baseAddress! + bytes.count - FinishLine.byteCount
        guard place <= last, place.isPlainFinish else { return false }
        guard segments.numbers.contains(number), let channelSegment = segments[number]
        else { return true }
        let latency = latency
        let now = context.now
        let finishedCount = deliveries.finishRun(
            at: &place, upTo: last, of: channelSegment, by: session.subscription.slot
        ) { index in
            latency?.add(index, of: channelSegment.segment, now)
        }
        offset += finishedCount * FinishLine.byteCount
        session.didFinish(finishedCount)
        settle(finishedCount, in: number)
        return place <= last && place.isPlainFinish
    }

    /// The number of the segment that contains the message of the FIN at byte offset `offset`; `nil`
    /// if the channel has no such segment.
    private func segmentNumber(ofFinishAt offset: Int, in bytes: Bytes) -> Int? {
        MessageID(readingFrom: bytes.baseAddress! + offset + 4).number
            .flatMap { segments.number(serial: $0 >> 16) }
            .flatMap { segments[$0] == nil ? nil : $0 }
    }

    /// Requeues one message.
    ///
    /// - Parameter delay: the time before the message can be redelivered; zero for no delay.
    func requeue(
        _ id: MessageID, by session: Session, after delay: Duration
    ) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .requeueFailed, .requeue)
        session.didRequeue()
        context.pending.add(self)
        guard delay > .zero else {
            return deliveries.requeue(delivery, behind: cursor.acceptedCount)
        }
        let nanoseconds = delay.nanoseconds
        deliveries.requeue(delivery, until: context.now.monotonic + nanoseconds)
        recordUpdated(delivery, deferredUntil: context.now.wall + nanoseconds)
    }

    /// Restarts the timeout of a message in flight. The new deadline is at most
    /// ``BrokerOptions/maxMessageTimeout`` after the delivery.
    func touch(_ id: MessageID, by session: Session) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .touchFailed, .touch)
        deliveries.touch(
            delivery, timeout: session.settings.messageTimeout,
            longest: context.options.maxMessageTimeout.nanoseconds, at: context.now.monotonic)
    }

    /// Returns the delivery of a message that is in flight to the session.
    ///
    /// - Throws: an error with `code` if the message is not in flight to the session.
    private func inFlight(
        _ id: MessageID, to session: Session, _ code: ProtocolError.Code, _ verb: Verb
    ) throws(ProtocolError) -> Int32 {
        func failure(_ reason: String) -> ProtocolError {
            ProtocolError(code, verb, id, "failed \(reason)")
        }
        guard let number = id.number, let segment = segments.number(serial: number >> 16),
            let state = segments[segment]?.state(of: Int(number & 0xffff)), state >= 0,
            deliveries[state].state == .inFlight
        else { throw failure("ID not in flight") }
        guard deliveries[state].consumer == session.subscription.slot else {
            throw failure("client does not own message")
        }
        return state
    }
}

extension LatencyWindow {
    /// Adds the latency of a finished message.
    ///
    /// - Parameter index: the message's index in `segment`.
    @inline(__always)
    fileprivate func add(_ index: Int, of segment: Segment, _ now: Timestamp) {
        let published = segment.frame(at: index)
            .bigEndian(at: MessageFrame.timestampOffset, as: Int64.self)
        // The subtraction can overflow, because an imported message can have any timestamp.
        let (latency, overflow) = now.wall.subtractingReportingOverflow(published)
        add(overflow ? .max : latency, at: now.monotonic)
    }
}
