import NSQWire

/// Publishes between their command and their answer, where a ledger stands between.
struct Publishings {
    /// Who has publishes that are not answered yet.
    private var sessions: [Session] = []
    private var waiters: [Waiter] = []
    /// Writes up to this one are on the disk for good.
    private var lastSynced: UInt64 = 0

    private struct Waiter {
        var write: UInt64
        var call: (LedgerError?) -> Void
    }

    mutating func add(_ verb: Verb, by session: Session) {
        if session.answers.isEmpty { sessions.append(session) }
        session.awaitWrite(verb)
    }

    /// Has `call` made once the next write is done.
    mutating func add(_ call: @escaping (LedgerError?) -> Void) {
        waiters.append(Waiter(write: Answer.nextWrite, call: call))
    }

    /// The next write was done, and has this number.
    ///
    /// - Returns: whether it had nothing to do: all is synced.
    mutating func noteWrite(_ number: UInt64) -> Bool {
        for session in sessions { session.noteWrite(number) }
        for place in waiters.indices where waiters[place].write == Answer.nextWrite {
            waiters[place].write = number
        }
        return number <= lastSynced
    }

    /// Answers those whose writes, up to `number`, are done for good or have failed.
    mutating func answer(upTo number: UInt64, _ failure: LedgerError?, _ turn: Turn) {
        if failure == nil { lastSynced = max(lastSynced, number) }
        settle(turn) { $0.answer(upTo: number, failure) }
        call(failure) { $0.write <= number }
    }

    /// The next write failed.
    mutating func refuse(_ failure: LedgerError, _ turn: Turn) {
        settle(turn) { $0.refuseNext(failure) }
        call(failure) { $0.write == Answer.nextWrite }
    }

    private mutating func settle(_ turn: Turn, _ answer: (Session) -> ProtocolError?) {
        for session in sessions {
            let unsaid = session.outbox.byteCount
            if let error = answer(session) {
                turn.events.append(.clientFailed(session.id, error))
            }
            // Whoever still waits must not keep the turn from ending.
            if session.outbox.byteCount > unsaid { turn.touch(session) }
        }
        sessions.removeAll { $0.answers.isEmpty }
    }

    private mutating func call(_ failure: LedgerError?, _ isDue: (Waiter) -> Bool) {
        guard !waiters.isEmpty else { return }
        let due = waiters.filter(isDue)
        waiters.removeAll(where: isDue)
        for waiter in due { waiter.call(failure) }
    }
}

extension Broker {
    /// Writes what was noted since the last time. Publishers are answered, at once or after the
    /// sync; what could not be written is taken back as if it had not been published.
    ///
    /// - Returns: whether all is written.
    @discardableResult
    func writeNotes() -> Bool {
        guard let ledger = turn.ledger, !turn.isRecovering else { return true }
        for channel in turn.takeNotingChannels() { channel.passNotes(turn) }
        for topic in turn.topics { topic.appendUnwritten(turn) }
        guard turn.isNoted else { return true }
        do throws(LedgerError) {
            let number = try ledger.write()
            turn.hasWrittenNotes()
            for topic in turn.topics { topic.wasWritten(turn) }
            let isSynced = publishings.noteWrite(number)
            if isSynced || !ledger.answersAfterSync {
                publishings.answer(upTo: number, nil, turn)
            }
            return true
        } catch {
            for topic in turn.topics { topic.takeBackUnwritten(turn) }
            publishings.refuse(error, turn)
            return false
        }
    }

    /// The writes up to `number` are on the disk for good.
    package func synced(upTo number: UInt64, at now: Moment) {
        turn.now = now
        publishings.answer(upTo: number, nil, turn)
    }

    /// The writes up to `number` may not be on the disk, and never will be for sure.
    package func syncFailed(upTo number: UInt64, _ error: LedgerError, at now: Moment) {
        turn.now = now
        publishings.answer(upTo: number, error, turn)
    }

    /// Calls `done` once all that was asked for up to now is noted as safely as a publish is. That
    /// is amid a turn's end, or a sync's: it must not ask for more.
    package func whenNoted(_ done: @escaping (LedgerError?) -> Void) {
        guard turn.ledger != nil else { return done(nil) }
        turn.hasNotedMessages()
        publishings.add(done)
    }

    /// Has a segment move to the ledger's end, if that gives space back.
    ///
    /// - Returns: whether there may be another.
    func moveSegment() -> Bool {
        guard let ledger = turn.ledger else { return false }
        let needed = topics.values.reduce(0) { $0 + ($1.isNoted ? $1.neededBytes : 0) }
        guard let serial = ledger.segmentToMove(needed: needed) else { return false }
        guard writeNotes() else { return false }
        for topic in topics.values {
            guard let segment = topic.segments.first(where: { $0.serial == serial }) else {
                continue
            }
            topic.move(segment, turn)
            return writeNotes()
        }
        return false
    }
}
