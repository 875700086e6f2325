import CLibuv
import Glibc

/// A thread that runs a loop of its own until ``stop()``.
package final class LoopThread: Sendable {
    /// Accepts jobs for the thread's loop.
    package let mailbox: LoopMailbox
    private let end: OneTimeEvent
    private let thread: LockedValue<uv_thread_t?>

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: the thread's name in debuggers and `top`, truncated to 15 bytes, the limit of
    ///     Linux.
    ///   - niceness: 0 to 19; a thread with a higher value gets less processor time when there are
    ///     more running threads than processors. On Linux each thread has its own niceness
    ///     (sched(7)).
    ///   - clock: the clock of the loop's timers.
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    package init(
        name: String, niceness: Int32 = 0, clock: Loop.Clock = .system
    ) throws(UVError) {
        let loop = try Loop(clock: clock)
        loop.keepRunningForJobs()
        mailbox = loop.mailbox
        end = OneTimeEvent()
        let start = Start(loop: loop, name: name, niceness: niceness, end: end)
        // SAFETY: the new thread takes over this reference and the loop; the calling thread keeps
        // only the mailbox.
        let argument = Unmanaged.passRetained(start).toOpaque()
        var thread = uv_thread_t()
        let status = uv_thread_create(
            &thread,
            { argument in
                Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().run()
            }, argument)
        guard status == 0 else {
            // SAFETY: there is no new thread, so this call releases the retained reference.
            Unmanaged<Start>.fromOpaque(argument).release()
            throw UVError(code: status)
        }
        self.thread = LockedValue(thread)
    }

    /// Stops the thread. The system releases the thread's resources when it has ended.
    deinit {
        stop()
        if let thread = removeThread() { pthread_detach(thread) }
    }

    /// Requests the loop to stop and returns at once. Jobs submitted before this call still run.
    package func stop() {
        mailbox.submit { $0.stop() }
    }

    /// Suspends until the loop is closed. Call ``stop()`` first.
    package func join() async {
        await end.wait()
    }

    /// Blocks until the thread has ended. Call ``stop()`` first. The thread must not call this
    /// method itself.
    @available(*, noasync, message: "await join() instead")
    package func join() {
        guard var thread = removeThread() else { return }
        let status = uv_thread_join(&thread)
        precondition(status == 0, "a loop's thread cannot wait for its own end")
    }

    private func removeThread() -> uv_thread_t? {
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
    }

    private final class Start {
        let loop: Loop
        let name: String
        let niceness: Int32
        let end: OneTimeEvent

        init(loop: Loop, name: String, niceness: Int32, end: OneTimeEvent) {
            self.loop = loop
            self.name = name
            self.niceness = niceness
            self.end = end
        }

        func run() {
            pthread_setname_np(
                pthread_self(), String(decoding: name.utf8.prefix(15), as: UTF8.self))
            // Raising the niceness needs no privileges, so this call cannot fail.
            if niceness > 0 {
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
            }
            loop.run()
            loop.close()
            end.signal()
        }
    }
}

/// An event that happens once, such as the end of a thread.
final class OneTimeEvent: Sendable {
    /// The waiting tasks; `nil` after the event.
    private let waiters = LockedValue<[CheckedContinuation<Void, Never>]?>([])

    /// Suspends until the event has happened.
    func wait() async {
        await withCheckedContinuation { continuation in
            let hasHappened = waiters.withLock { waiters in
                waiters?.append(continuation)
                return waiters == nil
            }
            if hasHappened { continuation.resume() }
        }
    }

    /// Resumes all waiting tasks.
    func signal() {
        let resumed = waiters.withLock { waiters in
            defer { waiters = nil }
            return waiters ?? []
        }
        for continuation in resumed { continuation.resume() }
    }
}
