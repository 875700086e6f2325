import CLibuv

/// Memory to write, with the layout of libuv's `uv_buf_t` and of the kernel's `iovec`, so that an
/// array of slices is passed to the kernel unconverted.
package struct IOSlice {
    /// The address of the first byte.
    package var base: UnsafeRawPointer
    /// The number of bytes.
    package var count: Int

    /// Creates a slice of `count` bytes that starts at `base`.
    package init(base: UnsafeRawPointer, count: Int) {
        self.base = base
        self.count = count
    }

    /// Creates a slice of `bytes`, which must not be empty.
    package init(_ bytes: UnsafeRawBufferPointer) {
        precondition(!bytes.isEmpty, "a slice to write holds at least one byte")
        self.init(base: bytes.baseAddress!, count: bytes.count)
    }

    /// Calls `body` with `bytes` as the only slice.
    package static func withSlice<Result>(
        of bytes: UnsafeRawBufferPointer, _ body: (UnsafeBufferPointer<IOSlice>) -> Result
    ) -> Result {
        withUnsafePointer(to: IOSlice(bytes)) { body(UnsafeBufferPointer(start: $0, count: 1)) }
    }

    static var hasLayoutOfLibuvBuffer: Bool {
        MemoryLayout<Self>.stride == MemoryLayout<uv_buf_t>.stride
            && MemoryLayout<Self>.offset(of: \.base) == MemoryLayout<uv_buf_t>.offset(of: \.base)
            && MemoryLayout<Self>.offset(of: \.count) == MemoryLayout<uv_buf_t>.offset(of: \.len)
    }
}

/// The outcome of ``Stream/tryWrite(_:)``.
package enum TryWriteOutcome: Equatable {
    /// The socket buffer has accepted this number of bytes, which can be fewer than the slices hold.
    /// The number is 0 if the socket buffer is full or earlier writes are queued.
    case wrote(Int)
    /// The connection is broken.
    case failed(UVError)
}

extension Stream {
    /// The maximum number of slices in one write (IOV_MAX).
    package static let maxSlices = 1024

    /// Writes as many bytes as the socket buffer accepts without blocking, and queues nothing.
    package func tryWrite(_ slices: UnsafeBufferPointer<IOSlice>) -> TryWriteOutcome {
        guard !isClosing else { return .failed(.canceled) }
        let count = min(slices.count, Self.maxSlices)
        guard count > 0 else { return .wrote(0) }
        let written = uv_try_write(
            pointer(as: uv_stream_t.self), slices.buffers, UInt32(truncatingIfNeeded: count))
        if written >= 0 { return .wrote(Int(written)) }
        return written == UV_EAGAIN.rawValue ? .wrote(0) : .failed(UVError(code: written))
    }

    /// Queues a write. Prefer ``StreamWriter``, which first writes without a queue.
    ///
    /// - Parameters:
    ///   - slices: the bytes to write; their memory must not change until `done` runs.
    ///   - done: receives `nil` when the socket buffer has accepted all bytes, and `ECANCELED` if
    ///     the stream closes before that.
    package func write(
        _ slices: UnsafeBufferPointer<IOSlice>, _ done: @escaping (UVError?) -> Void
    ) {
        guard !isClosing else { return done(.canceled) }
        let request = Request(uv_write_t.self, done)
        let status = uv_write(
            request.start(), pointer(as: uv_stream_t.self), slices.buffers,
            UInt32(truncatingIfNeeded: slices.count)
        ) { Request<uv_write_t>.finish($0, status: $1) }
        if status < 0 { Request.finish(request.memory, status: status) }
    }

    /// Shuts down the write side after all queued bytes are written.
    ///
    /// - Parameter done: receives `nil` after the shutdown, or its error.
    package func shutdown(_ done: ((UVError?) -> Void)? = nil) {
        guard !isClosing else {
            done?(.canceled)
            return
        }
        let request = Request(uv_shutdown_t.self) { done?($0) }
        let status = uv_shutdown(request.start(), pointer(as: uv_stream_t.self)) {
            Request<uv_shutdown_t>.finish($0, status: $1)
        }
        if status < 0 { Request.finish(request.memory, status: status) }
    }

    /// The number of bytes that ``write(_:_:)`` has queued and the socket buffer has not accepted.
    package var queuedByteCount: Int {
        isClosing ? 0 : uv_stream_get_write_queue_size(pointer(as: uv_stream_t.self))
    }
}

extension UnsafeBufferPointer<IOSlice> {
    fileprivate var buffers: UnsafePointer<uv_buf_t>? {
        // SAFETY: Loop.init checks that both types have the same layout, and libuv only reads the
        // memory.
        UnsafeRawPointer(baseAddress)?.assumingMemoryBound(to: uv_buf_t.self)
    }
}

/// A libuv request. libuv retains the request until its callback, which runs exactly once.
final class Request<Kind> {
    let memory: UnsafeMutablePointer<Kind>
    private let done: (UVError?) -> Void

    init(_ kind: Kind.Type, _ done: @escaping (UVError?) -> Void) {
        let size = MemoryLayout<Kind>.size
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: size, alignment: MemoryLayout<Kind>.alignment)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        memory = bytes.bindMemory(to: Kind.self, capacity: 1)
        self.done = done
    }

    deinit {
        memory.deallocate()
    }

    /// Retains the request and returns its memory, which the caller passes to libuv at once.
    func start() -> UnsafeMutablePointer<Kind> {
        // SAFETY: `finish` follows every `start` and balances this retain.
        uv_req_set_data(Self.base(memory), Unmanaged.passRetained(self).toOpaque())
        return memory
    }

    static func finish(_ memory: UnsafeMutablePointer<Kind>?, status: Int32) {
        // SAFETY: takeRetainedValue balances the retain in `start`.
        let request = Unmanaged<Request<Kind>>.fromOpaque(uv_req_get_data(base(memory!))!)
            .takeRetainedValue()
        request.done(status < 0 ? UVError(code: status) : nil)
    }

    private static func base(_ memory: UnsafeMutablePointer<Kind>) -> UnsafeMutablePointer<uv_req_t>
    {
        // SAFETY: only libuv uses the pointer, and all libuv requests begin with a uv_req_t.
        UnsafeMutableRawPointer(memory).assumingMemoryBound(to: uv_req_t.self)
    }
}
