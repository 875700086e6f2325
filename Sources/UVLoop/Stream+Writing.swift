import CLibuv

/// A piece of memory to write, laid out as libuv's `uv_buf_t` and the kernel's `iovec` are, so that
/// an array of pieces passes to the kernel as it is.
package struct IOSlice {
    package var base: UnsafeRawPointer
    package var count: Int

    package init(base: UnsafeRawPointer, count: Int) {
        self.base = base
        self.count = count
    }

    package init(_ bytes: UnsafeRawBufferPointer) {
        precondition(!bytes.isEmpty, "a slice to write holds at least a byte")
        self.init(base: bytes.baseAddress!, count: bytes.count)
    }

    static var isLaidOutAsLibuvs: Bool {
        MemoryLayout<Self>.stride == MemoryLayout<uv_buf_t>.stride
            && MemoryLayout<Self>.offset(of: \.base) == MemoryLayout<uv_buf_t>.offset(of: \.base)
            && MemoryLayout<Self>.offset(of: \.count) == MemoryLayout<uv_buf_t>.offset(of: \.len)
    }
}

package enum TryWriteOutcome: Equatable {
    /// So many bytes went out: perhaps fewer than given, and 0 when the kernel's buffer is full or
    /// queued writes come first.
    case wrote(Int)
    case failed(UVError)
}

extension Stream {
    /// More slices than this never go out in one write (IOV_MAX).
    package static let maxSlices = 1024

    /// Writes what the kernel takes at once, and no later than now.
    package func tryWrite(_ slices: UnsafeBufferPointer<IOSlice>) -> TryWriteOutcome {
        guard !isClosing else { return .failed(.canceled) }
        let count = min(slices.count, Self.maxSlices)
        guard count > 0 else { return .wrote(0) }
        let written = uv_try_write(
            pointer(as: uv_stream_t.self), slices.buffers, UInt32(truncatingIfNeeded: count))
        if written >= 0 { return .wrote(Int(written)) }
        return written == UV_EAGAIN.rawValue ? .wrote(0) : .failed(UVError(code: written))
    }

    /// Queues a write. The memory must stay as it is until `done`, which gets nil when all is in
    /// the kernel's hands, and `ECANCELED` when the stream was closed before.
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

    /// Ends our half of the conversation once the queued writes are out.
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

    /// Bytes that `write` has queued and the kernel has not taken.
    package var queuedBytes: Int {
        isClosing ? 0 : uv_stream_get_write_queue_size(pointer(as: uv_stream_t.self))
    }
}

extension UnsafeBufferPointer<IOSlice> {
    fileprivate var buffers: UnsafePointer<uv_buf_t>? {
        // SAFETY: the layouts are the same (Loop.init checks), and libuv only reads.
        UnsafeRawPointer(baseAddress)?.assumingMemoryBound(to: uv_buf_t.self)
    }
}

/// A libuv request that calls back exactly once, and is kept alive by libuv until then.
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

    /// To be called in the very call that hands the request to libuv.
    func start() -> UnsafeMutablePointer<Kind> {
        // SAFETY: balanced in finish, which every start is followed by.
        uv_req_set_data(Self.base(memory), Unmanaged.passRetained(self).toOpaque())
        return memory
    }

    static func finish(_ memory: UnsafeMutablePointer<Kind>?, status: Int32) {
        // SAFETY: balances the retain in start.
        let request = Unmanaged<Request<Kind>>.fromOpaque(uv_req_get_data(base(memory!))!)
            .takeRetainedValue()
        request.done(status < 0 ? UVError(code: status) : nil)
    }

    private static func base(_ memory: UnsafeMutablePointer<Kind>) -> UnsafeMutablePointer<uv_req_t>
    {
        // SAFETY: only handed to libuv, whose requests all begin with a uv_req_t.
        UnsafeMutableRawPointer(memory).assumingMemoryBound(to: uv_req_t.self)
    }
}
