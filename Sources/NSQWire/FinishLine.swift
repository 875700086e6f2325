/// FIN as it lies in memory: what a consumer says of every single message, most often in runs.
@usableFromInline
package enum FinishLine {
    /// Newline included.
    @inlinable package static var byteCount: Int { 4 + MessageID.byteCount + 1 }

    /// `FIN `.
    @inlinable package static var word: UInt32 { UInt32(littleEndian: 0x204e_4946) }

    /// Appends one.
    @inlinable
    package static func append(_ id: MessageID, to out: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { line in
            line.storeBytes(of: word, as: UInt32.self)
            id.write(to: line.baseAddress! + 4)
            line[byteCount - 1] = UInt8(ascii: "\n")
            out.append(contentsOf: line)
        }
    }

    /// Appends a run of them, the common case of a consumer that settles a batch.
    @inlinable
    package static func append(_ ids: some Collection<MessageID>, to out: inout [UInt8]) {
        out.reserveCapacity(out.count + ids.count * byteCount)
        for id in ids { append(id, to: &out) }
    }
}
