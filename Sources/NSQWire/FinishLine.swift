/// Writes FIN command lines. Consumers send one FIN per message, usually many in a row, so FIN has
/// a faster writer than ``Command``.
@usableFromInline
package enum FinishLine {
    /// The length in bytes of a FIN command line, including the newline.
    @inlinable package static var byteCount: Int { 4 + MessageID.byteCount + 1 }

    /// The bytes `FIN ` as an integer in memory byte order.
    @inlinable package static var prefixWord: UInt32 { UInt32(littleEndian: 0x204e_4946) }

    /// Appends the FIN command line of one message.
    @inlinable
    package static func append(_ id: MessageID, to out: inout [UInt8]) {
        withBytes(of: id) { out.append(contentsOf: $0) }
    }

    /// Calls `body` with the FIN command line of one message, which is valid during the call only.
    @inlinable
    package static func withBytes<Result>(
        of id: MessageID, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { line in
            line.storeBytes(of: prefixWord, as: UInt32.self)
            id.write(to: line.baseAddress! + 4)
            line[byteCount - 1] = UInt8(ascii: "\n")
            return body(UnsafeRawBufferPointer(line))
        }
    }

    /// Appends the FIN command lines of several messages.
    @inlinable
    package static func append(_ ids: some Collection<MessageID>, to out: inout [UInt8]) {
        out.reserveCapacity(out.count + ids.count * byteCount)
        for id in ids { append(id, to: &out) }
    }
}
