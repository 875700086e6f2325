import NSQWire

/// A buffer for the log records that one channel has added since the last flush.
final class ChannelLogBuffer {
    private var delivered: [MessageRun] = []
    private var updated: [DeliveryRecord] = []
    private var finished: [MessageRun] = []

    var isEmpty: Bool { delivered.isEmpty && updated.isEmpty && finished.isEmpty }

    /// Records first deliveries.
    func appendDelivered(_ indexes: Range<Int>, of serial: UInt64) {
        delivered.append(indexes, of: serial)
    }

    /// Records a requeue with a delay, or a redelivery, of one message.
    func appendUpdated(_ record: DeliveryRecord) { updated.append(record) }

    func appendFinished(_ indexes: Range<Int>, of serial: UInt64) {
        finished.append(indexes, of: serial)
    }

    /// Records the messages that a series of FIN commands has finished.
    ///
    /// - Parameter commands: the bytes of the FIN commands.
    func appendFinished(_ commands: Bytes) {
        var place = commands.baseAddress! + 4
        for _ in 0..<commands.count / FinishLine.byteCount {
            let number = MessageID(readingFrom: place).number!
            let index = Int(number & 0xffff)
            finished.append(index..<index + 1, of: number >> 16)
            place += FinishLine.byteCount
        }
    }

    func removeAll() {
        delivered = []
        updated = []
        finished = []
    }

    /// Moves the buffered records to the message log: deliveries first, then updates, then FINs.
    ///
    /// - Parameter now: the time on the wall clock, in nanoseconds.
    func drain(to log: MessageLogWriter, _ topic: TopicName, _ channel: ChannelName, at now: Int64)
    {
        if !delivered.isEmpty { log.append(.delivered(topic, channel, delivered)) }
        if !updated.isEmpty {
            log.append(.deliveriesUpdated(topic, channel, updated, writtenAt: now))
        }
        if !finished.isEmpty { log.append(.finished(topic, channel, finished)) }
        removeAll()
    }
}

extension [MessageRun] {
    /// Appends a run of messages in a segment, or extends the last run if the messages directly
    /// follow that run.
    ///
    /// - Parameter serial: the serial number of the segment.
    fileprivate mutating func append(_ indexes: Range<Int>, of serial: UInt64) {
        if let last, last.serial == serial, last.indexes.upperBound == indexes.lowerBound {
            self[count - 1].count += indexes.count
        } else {
            append(MessageRun(serial: serial, first: indexes.lowerBound, count: indexes.count))
        }
    }
}
