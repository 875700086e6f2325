import CLibuv

/// What all libuv handles have in common: memory that libuv may touch until it has called back
/// from `uv_close`.
///
/// libuv retains the object from `init` until that callback. So a handle must be closed to go
/// away (by its owner, or at last by `Loop.close()`), and cannot go away under a callback.
package class Handle {
    package let loop: Loop
    package private(set) var isClosing = false

    private let memory: UnsafeMutableRawPointer
    private var isClosed = false
    private var whenClosed: [() -> Void] = []

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
        // SAFETY: balanced by the release in the close callback, the last libuv makes.
        uv_handle_set_data(handle, Unmanaged.passRetained(self).toOpaque())
    }

    var handle: UnsafeMutablePointer<uv_handle_t> {
        pointer(as: uv_handle_t.self)
    }

    /// The handle as the C type it is or begins with; a `uv_tcp_t` begins with a `uv_stream_t`.
    final func pointer<Kind>(as kind: Kind.Type) -> UnsafeMutablePointer<Kind> {
        // SAFETY: only handed to libuv, whose C types nest by their first members.
        memory.assumingMemoryBound(to: kind)
    }

    /// The object that a callback's handle belongs to.
    @inline(__always)
    static func behind<Kind>(_ pointer: UnsafeMutablePointer<Kind>?) -> Self {
        // SAFETY: libuv retains the object from init to the close callback, and the data pointer
        // is set before the first callback and never changed.
        let handle = UnsafeRawPointer(pointer!).assumingMemoryBound(to: uv_handle_t.self)
        return Unmanaged<Self>.fromOpaque(uv_handle_get_data(handle)!).takeUnretainedValue()
    }

    /// Whether the handle, while active, is a reason for the loop to go on; true unless set.
    package var keepsLoopRunning: Bool {
        get { !isClosing && uv_has_ref(handle) != 0 }
        set {
            guard !isClosing else { return }
            newValue ? uv_ref(handle) : uv_unref(handle)
        }
    }

    /// Closes the handle; `done` runs on a later turn, when libuv has let go of it.
    ///
    /// Closing again is no mistake: it only adds another `done`.
    package func close(_ done: (() -> Void)? = nil) {
        if isClosed {
            done?()
            return
        }
        if let done { whenClosed.append(done) }
        guard !isClosing else { return }
        isClosing = true
        uv_close(handle) { handle in
            let object = Handle.behind(handle)
            // SAFETY: balances the retain in init; `object` holds on to the end of this scope.
            Unmanaged.passUnretained(object).release()
            object.finishClosing()
        }
    }

    private func finishClosing() {
        isClosed = true
        letGo()
        let waiting = whenClosed
        whenClosed = []
        for done in waiting { done() }
    }

    /// Forgets the closures and objects the handle called, for they often refer back to it.
    func letGo() {}

    deinit {
        memory.deallocate()
    }
}
