/// A part of a streamed response body. All connections that send the chunk share its encoded bytes.
package final class HTTPChunk {
    /// The chunk in the encoding of HTTP/1.1: length, bytes, line end.
    let framed: UnsafeRawBufferPointer
    /// The bytes without the frame, for HTTP/1.0, which has no chunked encoding.
    package let bytes: UnsafeRawBufferPointer

    private let memory: UnsafeMutableRawBufferPointer

    /// Copies `bytes`, which must not be empty.
    package init(_ bytes: some Collection<UInt8>) {
        precondition(!bytes.isEmpty, "an empty chunk would end the body")
        let head = Array("\(String(bytes.count, radix: 16))\r\n".utf8)
        memory = .allocate(byteCount: head.count + bytes.count + 2, alignment: 1)
        memory.copyBytes(from: head)
        let body = head.count..<(head.count + bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: memory[body]).copyBytes(from: bytes)
        UnsafeMutableRawBufferPointer(rebasing: memory[body.upperBound...])
            .copyBytes(from: "\r\n".utf8)
        framed = UnsafeRawBufferPointer(memory)
        self.bytes = UnsafeRawBufferPointer(rebasing: framed[body])
    }

    deinit { memory.deallocate() }

    /// The number of bytes without the frame.
    package var count: Int { bytes.count }
}
