/// A loop thread that several hosts share. It starts with the first host, and ends with the last
/// host.
package final class SharedLoopThread: Sendable {
    private struct State {
        var thread: LoopThread?
        var userCount = 0
    }

    private let name: String
    private let state = LockedValue(State())

    /// Creates a shared thread that is not started.
    ///
    /// - Parameter name: the thread's name, see ``LoopThread``.
    package init(name: String) {
        self.name = name
    }

    /// The number of hosts that use the thread.
    package var userCount: Int { state.withLock { $0.userCount } }

    /// `true` while the thread runs.
    package var isRunning: Bool { state.withLock { $0.thread != nil } }

    /// Returns the thread for one more user, and starts it for the first user.
    ///
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    func acquire() throws(UVError) -> LoopThread {
        try state.withLock { state throws(UVError) in
            if state.thread == nil { state.thread = try LoopThread(name: name) }
            state.userCount += 1
            return state.thread!
        }
    }

    /// Ends the use of the thread by one user, and stops the thread after the last user.
    ///
    /// - Returns: the stopped thread; `nil` while there are other users.
    func release() -> LoopThread? {
        let last: LoopThread? = state.withLock { state in
            state.userCount -= 1
            guard state.userCount == 0 else { return nil }
            defer { state.thread = nil }
            return state.thread
        }
        last?.stop()
        return last
    }
}
