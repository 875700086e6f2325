import NSQWire
import Transport

/// The bytes of the records, as the journal writes them to a file.
extension JournalBatch {
    /// Calls `body` once with the bytes of all records. If old bytes of a recycled file would
    /// follow the last record, an end mark is appended.
    ///
    /// - Parameters:
    ///   - file: the number of the file.
    ///   - salt: the salt of the file.
    ///   - offset: the file offset of the first record.
    ///   - recycledEnd: the file offset at which the old bytes of the recycled file end.
    ///   - body: a closure that writes the slices to the file, one after another.
    /// - Returns: the byte range of each record in the file.
    func serialize<Failure: Error>(
        in file: UInt32, salt: UInt32, at offset: Int, recycledEnd: Int,
        _ body: ([Bytes]) throws(Failure) -> Void
    ) throws(Failure) -> [Range<Int>] {
        let ownBytes = records.reduce(JournalFormat.endMarkBytes) { $0 + $1.ownBytes }
        var own = [UInt8](repeating: 0, count: ownBytes)
        var ranges: [Range<Int>] = []
        var failure: Failure?
        own.withUnsafeMutableBytes { memory in
            var slices: [Bytes] = []
            slices.reserveCapacity(2 * records.count)
            var used = 0
            var offset = offset
            for record in records {
                slices.append(Self.write(record, file, salt, offset, to: memory, &used))
                if let frames = record.frames { slices.append(frames) }
                let padding =
                    record.byteCount - JournalFormat.recordHeaderBytes
                    - record.payloadBytes
                if padding > 0 {
                    slices.append(Bytes(memory).view(used..<used + padding))
                    used += padding
                }
                ranges.append(offset..<offset + record.byteCount)
                offset += record.byteCount
            }
            let mark = min(max(0, recycledEnd - offset), JournalFormat.endMarkBytes)
            if mark > 0 { slices.append(Bytes(memory).view(used..<used + mark)) }
            do throws(Failure) { try body(slices) } catch { failure = error }
        }
        if let failure { throw failure }
        return ranges
    }

    /// Writes a record's header and head to `memory`, starting at the offset `used`.
    ///
    /// - Parameter used: the number of used bytes in `memory`; increased by the number of written
    ///   bytes.
    /// - Returns: the written bytes.
    private static func write(
        _ record: Record, _ file: UInt32, _ salt: UInt32, _ offset: Int,
        to memory: UnsafeMutableRawBufferPointer, _ used: inout Int
    ) -> Bytes {
        let start = used
        used += JournalFormat.recordHeaderBytes + record.head.count
        let head = UnsafeMutableRawBufferPointer(
            rebasing: memory[start + JournalFormat.recordHeaderBytes..<used])
        head.copyBytes(from: record.head)
        var checksum = CRC32C.Running()
        checksum.update(with: Bytes(head))
        if let frames = record.frames { checksum.update(with: frames) }
        RecordHeader(
            kind: record.kind, payloadBytes: record.payloadBytes,
            payloadChecksum: checksum.value, salt: salt, file: file, offset: offset
        ).write(to: memory.baseAddress! + start)
        return Bytes(memory).view(start..<used)
    }
}
