import CLibuv

/// Reports when a file descriptor of another library is readable or writable (`uv_poll_t`).
///
/// The poll neither owns nor closes the descriptor. The owner closes the poll before the library
/// closes the descriptor.
package final class DescriptorPoll: Handle {
    /// The states of a descriptor.
    package struct Events: OptionSet, Sendable {
        package let rawValue: Int32

        package init(rawValue: Int32) { self.rawValue = rawValue }

        /// A read does not block.
        package static let readable = Events(rawValue: Int32(UV_READABLE.rawValue))
        /// A write does not block.
        package static let writable = Events(rawValue: Int32(UV_WRITABLE.rawValue))
    }

    private var body: ((Events) -> Void)?

    /// Creates a poll that is not started.
    ///
    /// - Parameter descriptor: a socket or pipe, which becomes non-blocking.
    /// - Throws: `UVError` if another handle of the loop polls the descriptor, or if the kernel
    ///   cannot poll it.
    package init(_ descriptor: Int32, on loop: Loop) throws(UVError) {
        try super.init(uv_poll_t.self, on: loop) { uv_poll_init($0, $1, descriptor) }
    }

    /// Starts to poll, or changes the polled events.
    ///
    /// - Parameters:
    ///   - events: the events to report.
    ///   - body: receives the events that have occurred; all polled ones after an error of the
    ///     descriptor, so that the next read or write reveals it.
    package func start(_ events: Events, _ body: @escaping (Events) -> Void) {
        guard !isClosing else { return }
        self.body = body
        uv_poll_start(pointer(as: uv_poll_t.self), events.rawValue) { poll, status, events in
            let object = DescriptorPoll.object(of: poll)
            object.loop.recordInput()
            object.body?(status < 0 ? [.readable, .writable] : Events(rawValue: events))
        }
    }

    override func releaseCallbacks() {
        body = nil
    }
}
