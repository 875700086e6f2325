import CLibuv
import Glibc

/// A thread that runs a loop of its own until it is stopped.
package final class LoopThread: Sendable {
    package let door: LoopDoor
    private let thread: Guarded<uv_thread_t?>

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - name: shows in debuggers and `top`, cut to 15 bytes as Linux has it.
    ///   - niceness: 0 to 19; a thread with more of it lets the others go first where there are more
    ///     threads to run than processors. Linux keeps it for each thread (sched(7)).
    package init(name: String, niceness: Int32 = 0) throws(UVError) {
        let loop = try Loop()
        loop.waitForJobs()
        door = loop.door
        let start = Start(loop: loop, name: name, niceness: niceness)
        // SAFETY: the new thread takes over this one reference, and with it the loop: this thread
        // keeps nothing but the door.
        let argument = Unmanaged.passRetained(start).toOpaque()
        var thread = uv_thread_t()
        let status = uv_thread_create(
            &thread,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                start.run()
            }, argument)
        guard status == 0 else {
            // SAFETY: no thread came to take it.
            Unmanaged<Start>.fromOpaque(argument).release()
            throw UVError(code: status)
        }
        self.thread = Guarded(thread)
    }

    /// A thread nobody waits for any more stops, and cleans up after itself.
    deinit {
        stop()
        if let left = thread.withLock({ $0 }) { pthread_detach(left) }
    }

    /// Asks the loop to stop and returns at once; jobs submitted before still run.
    package func stop() {
        door.submit { $0.stop() }
    }

    /// Waits until the thread has ended and the loop is closed. Not from the thread itself.
    package func join() {
        let taken = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard var taken else { return }
        let status = uv_thread_join(&taken)
        precondition(status == 0, "a loop's thread cannot wait for its own end")
    }

    private final class Start {
        let loop: Loop
        let name: String
        let niceness: Int32

        init(loop: Loop, name: String, niceness: Int32) {
            self.loop = loop
            self.name = name
            self.niceness = niceness
        }

        func run() {
            pthread_setname_np(
                pthread_self(), String(decoding: name.utf8.prefix(15), as: UTF8.self))
            // More niceness is granted to anyone, so it cannot fail.
            if niceness > 0 {
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
            }
            loop.run()
            loop.close()
        }
    }
}
