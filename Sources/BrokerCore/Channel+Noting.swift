import NSQWire

/// What a channel's ledger is to know of its messages, gathered until the next write.
struct ChannelNotes {
    var delivered: [RecordRun] = []
    var returned: [NotedDelivery] = []
    var finished: [RecordRun] = []

    var isEmpty: Bool { delivered.isEmpty && returned.isEmpty && finished.isEmpty }
}

extension Channel {
    @inline(__always)
    func noteDelivered(_ indexes: Range<Int>, of segment: Segment, _ turn: Turn) {
        guard isNoted else { return }
        turn.takeNotes(of: self)
        notes.delivered.append(indexes, of: segment.serial)
    }

    @inline(__always)
    func noteFinished(_ indexes: Range<Int>, of segment: Segment, _ turn: Turn) {
        guard isNoted else { return }
        turn.takeNotes(of: self)
        notes.finished.append(indexes, of: segment.serial)
    }

    /// Notes the messages of plain FINs that lie one behind the other.
    func noteFinishes(_ commands: Bytes, _ turn: Turn) {
        turn.takeNotes(of: self)
        var place = commands.baseAddress! + 4
        for _ in 0..<commands.count / FinishLine.byteCount {
            let number = MessageID(readingFrom: place).number!
            let index = Int(number & 0xffff)
            notes.finished.append(index..<index + 1, of: number >> 16)
            place += FinishLine.byteCount
        }
    }

    /// Notes how often the message was tried, and until when it is deferred: 0 if it is not.
    func noteReturned(_ id: Int32, dueWall: Int64, _ turn: Turn) {
        guard isNoted else { return }
        turn.takeNotes(of: self)
        notes.returned.append(noted(id, dueWall: dueWall))
    }

    func noted(_ id: Int32, dueWall: Int64) -> NotedDelivery {
        let delivery = deliveries[id]
        return NotedDelivery(
            serial: share(delivery.share)!.segment.serial, index: Int(delivery.index),
            attempts: delivery.attempts, due: dueWall)
    }

    /// Hands over what was gathered, in the order in which a message comes to it.
    func passNotes(_ turn: Turn) {
        let notes = notes
        self.notes = ChannelNotes()
        guard !isDeleted else { return }
        if !notes.delivered.isEmpty {
            turn.note(.delivered(topic.name, name, notes.delivered))
        }
        if !notes.returned.isEmpty { turn.note(.returned(topic.name, name, notes.returned)) }
        if !notes.finished.isEmpty { turn.note(.finished(topic.name, name, notes.finished)) }
    }
}

extension [RecordRun] {
    /// Appends a run, or makes the last one longer.
    mutating func append(_ indexes: Range<Int>, of serial: UInt64) {
        if let last, last.serial == serial, last.indexes.upperBound == indexes.lowerBound {
            self[count - 1].count += indexes.count
        } else {
            append(RecordRun(serial: serial, first: indexes.lowerBound, count: indexes.count))
        }
    }
}
