/// A piece of an answer's body that is sent as it comes about: in one place of memory, in its final
/// form, however many connections send it.
package final class HTTPPiece {
    /// As a chunk of HTTP/1.1: its length, the bytes, and a line's end.
    let chunk: UnsafeRawBufferPointer
    /// The bytes alone, for HTTP/1.0, which has no chunks.
    package let bytes: UnsafeRawBufferPointer

    private let memory: UnsafeMutableRawBufferPointer

    package init(_ bytes: some Collection<UInt8>) {
        precondition(!bytes.isEmpty, "an empty chunk would be the last one")
        let head = Array("\(String(bytes.count, radix: 16))\r\n".utf8)
        memory = .allocate(byteCount: head.count + bytes.count + 2, alignment: 1)
        memory.copyBytes(from: head)
        let body = head.count..<(head.count + bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: memory[body]).copyBytes(from: bytes)
        UnsafeMutableRawBufferPointer(rebasing: memory[body.upperBound...])
            .copyBytes(from: "\r\n".utf8)
        chunk = UnsafeRawBufferPointer(memory)
        self.bytes = UnsafeRawBufferPointer(rebasing: chunk[body])
    }

    deinit { memory.deallocate() }

    package var count: Int { bytes.count }
}
