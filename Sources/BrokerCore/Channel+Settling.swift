import DequeModule
import NSQWire

/// What a consumer says of the messages it was given: FIN, REQ, TOUCH.
extension Channel {
    /// `FIN`: in flight → gone.
    ///
    /// - Throws: `E_FIN_FAILED` if it is not in flight to *this* consumer. It may have timed out and
    ///   be with another by now, and a late FIN must not take it from there.
    func finish(_ id: MessageID, by session: Session, _ turn: Turn) throws(ProtocolError) {
        let delivery = try inFlight(id, to: session, .finishFailed, "FIN")
        leaveFlight(delivery, session)
        let place = deliveries[delivery]
        latency?.note(Int(place.index), of: share(place.share)!.segment, turn.now)
        settle(delivery, turn)
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
        while finishRun(bytes, at: &offset, by: session, inShare: number, turn) {
            guard let next = shareNumber(ofFinishAt: offset, in: bytes), next != number else {
                break
            }
            number = next
        }
        lastShare = number
        let count = (offset - start) / FinishLine.byteCount
        guard count > 0 else { return 0 }
        turn.touch(self)
        if isNoted { noteFinishes(bytes.view(start..<offset), turn) }
        return count
    }

    /// Carries out those of one share.
    ///
    /// - Returns: whether another plain FIN follows, of a message that is not this share's.
    func finishRun(
        _ bytes: Bytes, at offset: inout Int, by session: Session, inShare number: Int,
        _ turn: Turn
    ) -> Bool {
        var place = bytes.baseAddress! + offset
        let last = bytes.baseAddress! + bytes.count - FinishLine.byteCount
        guard place <= last, place.isPlainFinish else { return false }
        guard number >= firstShare, number < firstShare + shares.count, let share = share(number)
        else { return true }
        let idStart = share.segment.idStart
        let idMiddle = share.segment.idMiddle
        let deliveries = deliveries
        let latency = latency
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
            latency?.note(index, of: share.segment, turn.now)
            finished += 1
            place += FinishLine.byteCount
        }
        offset += finished * FinishLine.byteCount
        inFlightCount -= finished
        session.inFlightCount -= finished
        session.finishCount += finished
        settle(finished, in: number)
        return place <= last && place.isPlainFinish
    }

    /// The share that the ID of the FIN at `offset` points to.
    func shareNumber(ofFinishAt offset: Int, in bytes: Bytes) -> Int? {
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
        guard delay > .zero else { return wait(delivery, turn) }
        `defer`(delivery, until: turn.now.monotonic + delay.nanoseconds, turn)
        noteReturned(delivery, dueWall: turn.now.wall + delay.nanoseconds, turn)
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

    func inFlight(
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

    func leaveFlight(_ id: Int32, _ session: Session) {
        deliveries.remove(id)
        inFlightCount -= 1
        session.inFlightCount -= 1
    }

    /// Done with, wherever it was: it stands in no list any more.
    func settle(_ id: Int32, _ turn: Turn) {
        let delivery = deliveries[id]
        let index = Int(delivery.index)
        let share = share(delivery.share)!
        deliveries.free(id)
        share.setState(Share.settledState, of: index)
        noteFinished(index..<index + 1, of: share.segment, turn)
        settle(1, in: delivery.share)
    }
}

extension LatencyWindow {
    /// A message has been finished.
    @inline(__always)
    fileprivate func note(_ index: Int, of segment: Segment, _ now: Moment) {
        let published = segment.frame(at: index)
            .bigEndian(at: MessageFrame.timestampOffset, as: Int64.self)
        add(now.wall - published, at: now.monotonic)
    }
}

extension UnsafeRawPointer {
    /// `FIN `, sixteen bytes of whatever, newline.
    @inline(__always)
    fileprivate var isPlainFinish: Bool {
        loadUnaligned(as: UInt32.self) == FinishLine.word
            && load(fromByteOffset: FinishLine.byteCount - 1, as: UInt8.self) == 0x0a
    }
}
