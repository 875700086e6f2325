import BrokerCore
import DequeModule
import NSQWire

/// What a journal was found to be when it was read.
package struct JournalReport: Sendable, Equatable {
    /// A place that makes no sense.
    package struct Damage: Sendable, Equatable, CustomStringConvertible {
        package var file: UInt32
        package var range: Range<Int>
        package var what: String

        package var description: String {
            "\(JournalFile.name(of: file)), bytes \(range.lowerBound) to \(range.upperBound): "
                + what
        }
    }

    package var damages: [Damage] = []
    /// What a write that was cut short has left at the end.
    package var tornBytes = 0
    package var files = 0
    package var records = 0
    package var messages = 0
}

extension Journal {
    /// Tells `broker` all that was noted, and goes on behind it.
    ///
    /// - Throws: if a file cannot be read, or is of a newer version. Damage is reported, and costs
    ///   only what it hit.
    package func recover(
        into broker: Broker, at now: Moment
    ) throws(LedgerError) -> JournalReport {
        let report = try replay(into: broker, at: now)
        try goOnBehind()
        return report
    }

    /// Tells `broker` all that was noted, and leaves the disk as it is.
    func replay(into broker: Broker, at now: Moment) throws(LedgerError) -> JournalReport {
        var report = JournalReport()
        broker.beginRecovery()
        let found = try disk.files().sorted { $0.number < $1.number }
        for file in found {
            // The oldest go first, so none goes from among the others.
            if let last = files.last, file.number > last.number + 1 {
                report.addMissing(last.number + 1..<file.number)
            }
            files.append(
                File(number: file.number, end: 0, reserved: file.byteCount, hasTopics: false))
            var reader = JournalReader(file.number, on: disk)
            defer { reader.close() }
            let isLast = file == found.last
            let end = try scan(file, &reader, isLast: isLast, &report) { record, place in
                self.tell(record, at: place, in: file.number, broker, now)
            }
            files[files.count - 1].end = end
            files[files.count - 1].salt = reader.salt
        }
        broker.endRecovery(at: now)
        report.files = found.count
        return report
    }

    private func tell(
        _ record: JournalRecord, at place: Range<Int>, in file: UInt32, _ broker: Broker,
        _ now: Moment
    ) {
        switch record {
        case .topics(let topics):
            files[files.count - 1].hasTopics = true
            known = KnownTopics(topics)
            broker.recover(topics, at: now)
        case .change(let change):
            known.take(change)
            broker.recover(change, at: now)
        case .messages(let messages, _):
            known.create(messages.topic)
            note(place, of: messages.run.serial, in: file)
            broker.recover(messages, at: now)
        }
    }

    /// Cuts what stands behind the last record, so that nothing of it is ever taken for one.
    func goOnBehind() throws(LedgerError) {
        goOnInLastFile()
        guard let last = files.last else { return }
        // One that is damaged at its beginning is left as it is.
        if !last.hasTopics || last.salt == nil { beginFileNext() }
        guard last.end >= JournalFormat.fileHeaderBytes else { return try empty(last) }
        guard last.reserved > last.end else { return }
        try disk.truncate(last.number, to: last.end)
        files[files.count - 1].reserved = last.end
    }

    /// Empties a file in which nothing stands but what an earlier one has left: it is no damage,
    /// and would be taken for one as soon as it is not the last.
    private func empty(_ last: File) throws(LedgerError) {
        var reader = JournalReader(last.number, on: disk)
        defer { reader.close() }
        guard try reader.fileHeader() == .earlier else { return }
        try disk.truncate(last.number, to: 0)
        files[files.count - 1].reserved = 0
    }

    /// Reads a file from its start to its end.
    ///
    /// - Returns: where its last record ends; 0 if it is not a file of ours.
    func scan(
        _ file: JournalFile, _ reader: inout JournalReader, isLast: Bool,
        _ report: inout JournalReport, _ take: (JournalRecord, Range<Int>) -> Void
    ) throws(LedgerError) -> Int {
        var isOurs = true
        switch try reader.fileHeader() {
        case .sound: break
        case .earlier where isLast: isOurs = false
        case .newer(let version):
            throw LedgerError(
                "\(file.name) was written by a newer tally (its format is \(version), this one "
                    + "reads up to \(JournalFormat.version))")
        case .damaged, .earlier:
            isOurs = false
            if file.byteCount > 0 { report.add(0..<64, of: file, "the file's header is damaged") }
        }
        var offset = JournalFormat.fileHeaderBytes
        var end = isOurs ? offset : 0
        while offset < file.byteCount {
            switch try reader.record(at: offset) {
            case .record(let header, let payload):
                report.records += 1
                if let record = JournalRecord(header.kind, payload) {
                    report.count(record)
                    take(record, offset..<header.end)
                } else {
                    report.add(offset..<header.end, of: file, "a record that makes no sense")
                }
                offset = header.end
                end = offset
            case .damagedPayload(let header):
                let start = header.offset + JournalFormat.recordHeaderBytes
                guard let next = try next(from: start, file, &reader, isLast, offset, &report)
                else { return end }
                report.add(offset..<next, of: file, "a damaged record")
                offset = next
            case .nothing:
                guard let next = try next(from: offset + 1, file, &reader, isLast, offset, &report)
                else { return end }
                report.add(offset..<next, of: file, "no record")
                offset = next
            }
        }
        return end
    }

    /// The next record behind a place that makes no sense; `nil` if there is none: then it is the
    /// end, or a write that was cut short.
    private func next(
        from start: Int, _ file: JournalFile, _ reader: inout JournalReader, _ isLast: Bool,
        _ offset: Int, _ report: inout JournalReport
    ) throws(LedgerError) -> Int? {
        if let next = try reader.nextHeader(from: start, to: file.byteCount) { return next }
        guard try !reader.isEmpty(from: offset, to: file.byteCount) else { return nil }
        if isLast {
            report.tornBytes += file.byteCount - offset
        } else {
            report.add(offset..<file.byteCount, of: file, "no record")
        }
        return nil
    }
}

extension JournalReport {
    fileprivate mutating func add(_ range: Range<Int>, of file: JournalFile, _ what: String) {
        damages.append(Damage(file: file.number, range: range, what: what))
    }

    fileprivate mutating func addMissing(_ numbers: Range<UInt32>) {
        for number in numbers {
            damages.append(Damage(file: number, range: 0..<0, what: "the file is missing"))
        }
    }

    fileprivate mutating func count(_ record: JournalRecord) {
        if case .messages(let found, _) = record { messages += found.run.count }
    }
}
