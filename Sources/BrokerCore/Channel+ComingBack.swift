import DequeModule
import NSQWire

/// Messages that wait for another delivery, at once or at their time, and alarms for those.
extension Channel {
    /// To be delivered again, after all that is in the queue now.
    func wait(_ id: Int32, _ turn: Turn) {
        deliveries[id].state = .waiting
        deliveries[id].due = acceptedCount
        deliveries.append(id, to: DeliveryPool.waitingList)
        turn.touch(self)
    }

    func `defer`(_ id: Int32, until due: Int64, _ turn: Turn) {
        deliveries[id].state = .deferred
        deliveries[id].due = due
        guard !turn.isRecovering else { return }
        deferredCount += 1
        deferredQueue.insert(id, due: due)
        turn.touch(self)
    }

    func takeBack(_ id: Int32, from session: Session, _ turn: Turn) {
        leaveFlight(id, session)
        wait(id, turn)
    }

    /// Deferred messages that are due wait for delivery again, and so do those whose consumer has
    /// had them for too long.
    func expire(_ turn: Turn) {
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

    func setAlarm(_ turn: Turn) {
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
