/// A loop thread that several hosts share. It starts with the first host, and ends with the last one.
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

    /// Returns the thread for one more user, and starts it for the first one.
    ///
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    func acquire() throws(UVError) -> LoopThread {
        try state.withLock { state throws(UVError) in
            if state.thread == nil { state.thread = try LoopThread(name: name) }
            state.userCount += 1
            return state.thread!
        }
    }

    /// Ends the use of the thread by one user, and stops the thread after the last one.
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

/// The use of a loop thread by one host.
final class LoopThreadUse: Sendable {
    let thread: LoopThread
    private let shared: SharedLoopThread?
    private let end = OneTimeEvent()
    private let stopped = LockedValue<LoopThread?>(nil)

    /// Uses a thread that has no other user.
    init(owning thread: LoopThread) {
        self.thread = thread
        shared = nil
    }

    /// Uses a shared thread.
    init(of shared: SharedLoopThread) throws(UVError) {
        thread = try shared.acquire()
        self.shared = shared
    }

    /// Ends the use. A thread without users stops. Call this method once.
    func finish() {
        if let shared {
            stopped.withLock { $0 = shared.release() }
        } else {
            thread.stop()
            stopped.withLock { $0 = thread }
        }
        end.signal()
    }

    /// Suspends until the use has ended, and the thread too if this was its last use.
    func waitForEnd() async {
        await end.wait()
        await stopped.withLock { $0 }?.join()
    }
}
