import CLibuv

/// A libuv handle: memory that libuv may access until the callback of `uv_close` has run.
///
/// libuv retains the object from `init` until that callback. A handle therefore lives until its
/// owner, or `Loop.close()`, closes it. It cannot be deallocated during a callback.
package class Handle {
    /// The loop that calls the handle's callbacks.
    package let loop: Loop
    /// `true` after the first call of ``close(_:)``.
    package private(set) var isClosing = false

    private let memory: UnsafeMutableRawPointer
    private var isClosed = false
    private var closeCallbacks: [() -> Void] = []

    init<Kind>(
        _ kind: Kind.Type, on loop: Loop,
        _ initialize: (UnsafeMutablePointer<uv_loop_t>, UnsafeMutablePointer<Kind>) -> Int32
    ) throws(UVError) {
        let size = MemoryLayout<Kind>.size
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: size, alignment: MemoryLayout<Kind>.alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        let status = initialize(loop.memory, memory.bindMemory(to: Kind.self, capacity: 1))
        guard status == 0 else {
            memory.deallocate()
            throw UVError(code: status)
        }
        self.memory = memory
        self.loop = loop
        // SAFETY: the release in the close callback, which is libuv's last call, balances this.
        uv_handle_set_data(handle, Unmanaged.passRetained(self).toOpaque())
    }

    var handle: UnsafeMutablePointer<uv_handle_t> {
        pointer(as: uv_handle_t.self)
    }

    /// Returns the handle's memory as its C type, or as a base type: a `uv_tcp_t` begins with a
    /// `uv_stream_t`.
    final func pointer<Kind>(as kind: Kind.Type) -> UnsafeMutablePointer<Kind> {
        // SAFETY: only libuv uses the pointer, and its C types nest by their first members.
        memory.assumingMemoryBound(to: kind)
    }

    /// Returns the object that owns the C handle passed to a callback.
    @inline(__always)
    static func object<Kind>(of pointer: UnsafeMutablePointer<Kind>?) -> Self {
        // SAFETY: libuv retains the object from init to the close callback, and the data pointer
        // is set before the first callback and never changes.
        let handle = UnsafeRawPointer(pointer!).assumingMemoryBound(to: uv_handle_t.self)
        return Unmanaged<Self>.fromOpaque(uv_handle_get_data(handle)!).takeUnretainedValue()
    }

    /// `true` if `Loop.run()` does not return while the handle is active; `true` by default.
    package var keepsLoopRunning: Bool {
        get { !isClosing && uv_has_ref(handle) != 0 }
        set {
            guard !isClosing else { return }
            newValue ? uv_ref(handle) : uv_unref(handle)
        }
    }

    /// Closes the handle. A further call only adds its callback.
    ///
    /// - Parameter done: runs in a later loop iteration, after the callback of `uv_close`; at once
    ///   if the handle is already closed.
    package func close(_ done: (() -> Void)? = nil) {
        if isClosed {
            done?()
            return
        }
        if let done { closeCallbacks.append(done) }
        guard !isClosing else { return }
        isClosing = true
        willClose()
        uv_close(handle) { handle in
            let object = Handle.object(of: handle)
            // SAFETY: balances the retain in init; `object` retains itself until the end of scope.
            Unmanaged.passUnretained(object).release()
            object.finishClosing()
        }
    }

    private func finishClosing() {
        isClosed = true
        releaseCallbacks()
        let callbacks = closeCallbacks
        closeCallbacks = []
        for done in callbacks { done() }
    }

    /// Runs before the handle closes.
    func willClose() {}

    /// Releases the handle's closures and delegates, because they often retain the handle.
    func releaseCallbacks() {}

    deinit {
        memory.deallocate()
    }
}
