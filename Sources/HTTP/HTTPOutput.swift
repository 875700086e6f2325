import Transport
import UVLoop

/// What is to go out on a connection: at once as much as the kernel takes, the rest as it can.
final class HTTPOutput {
    /// What it goes through, if it is not to be read by everybody.
    private let tls: LayeredStream?
    private var waiting: [UInt8] = []
    /// Bytes that libuv holds until the kernel takes them.
    private var queuedBytes = 0

    init(through tls: LayeredStream? = nil) { self.tls = tls }

    /// What has not reached the kernel yet.
    var unsentBytes: Int { waiting.count + queuedBytes + (tls?.wire.count ?? 0) }

    func append(_ write: (inout [UInt8]) -> Void) { write(&waiting) }

    func append(_ text: String) { waiting += text.utf8 }

    /// - Parameter whenDone: called later, if not all could be sent now, once it is; or when the
    ///   connection broke.
    /// - Returns: whether all is sent; `false` also if the connection broke just now.
    func flush(to stream: Stream, whenDone: @escaping (UVError?) -> Void) -> Bool {
        guard queuedBytes == 0, unsentBytes > 0 else { return unsentBytes == 0 }
        let bytes = takeAll()
        return bytes.withUnsafeBytes { bytes in
            switch Self.withSlice(bytes, { stream.tryWrite($0) }) {
            case .failed(let error):
                whenDone(error)
                return false
            case .wrote(bytes.count): return true
            case .wrote(let count):
                queue(UnsafeRawBufferPointer(rebasing: bytes[count...]), stream, whenDone)
                return false
            }
        }
    }

    private func takeAll() -> [UInt8] {
        defer { waiting = [] }
        guard let tls else { return waiting }
        if !waiting.isEmpty {
            waiting.withUnsafeBytes { tls.send($0) }
            tls.flush()
        }
        defer { tls.wire.clear() }
        return Array(tls.wire.bytes)
    }

    private func queue(
        _ rest: UnsafeRawBufferPointer, _ stream: Stream, _ whenDone: @escaping (UVError?) -> Void
    ) {
        // An array's memory stays in its place only as long as a call; libuv needs it for longer.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: rest.count, alignment: 1)
        memory.copyMemory(from: rest)
        queuedBytes = rest.count
        Self.withSlice(UnsafeRawBufferPointer(memory)) { slice in
            stream.write(slice) { error in
                memory.deallocate()
                self.queuedBytes = 0
                whenDone(error)
            }
        }
    }

    private static func withSlice<Result>(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeBufferPointer<IOSlice>) -> Result
    ) -> Result {
        withUnsafePointer(to: IOSlice(bytes)) { body(UnsafeBufferPointer(start: $0, count: 1)) }
    }
}
