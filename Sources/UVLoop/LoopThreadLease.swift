/// The use of a loop thread by one host.
final class LoopThreadLease: Sendable {
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
