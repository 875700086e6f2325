import CLibuv

/// Accepts jobs for a loop from any thread. The mailbox is the only part of a loop that is
/// `Sendable`.
///
/// The queue of jobs is unbounded. Each sender bounds its own pending work: a producer by its
/// window of publishes, a consumer by max-in-flight.
package final class LoopMailbox: Sendable {
    /// A closure that runs on the loop's thread.
    package typealias Job = @Sendable (Loop) -> Void

    private struct Queue {
        var jobs: [Job] = []
        var isOpen = true
        /// `true` from `uv_async_send` until the loop runs the jobs.
        var isWakeUpPending = false
    }

    // SAFETY: any thread may call uv_async_send; only the loop's thread uses the pointer otherwise.
    // The deinitializer frees the memory.
    nonisolated(unsafe) private let wakeUp: UnsafeMutablePointer<uv_async_t>
    private let queue = LockedValue(Queue())

    init(of loop: UnsafeMutablePointer<uv_loop_t>) throws(UVError) {
        let wakeUp = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
        wakeUp.initialize(to: uv_async_t())
        let status = uv_async_init(loop, wakeUp) { wakeUp in
            let loop = Loop.owner(of: wakeUp)
            loop.mailbox.runJobs(on: loop)
        }
        guard status == 0 else {
            wakeUp.deallocate()
            throw UVError(code: status)
        }
        self.wakeUp = wakeUp
        uv_unref(handle)
    }

    deinit {
        wakeUp.deallocate()
    }

    /// Queues `job` to run on the loop's thread, in order of submission, and returns at once.
    ///
    /// - Parameters:
    ///   - wakesLoop: `false` lets a loop that waits for I/O run the job when something else ends the wait.
    ///     A wake-up costs a system call and often a switch of threads.
    ///   - job: the closure to run.
    /// - Returns: `true` if the job will run, `false` if the loop is closed.
    @discardableResult
    package func submit(wakesLoop: Bool = true, _ job: @escaping Job) -> Bool {
        queue.withLock { queue in
            guard queue.isOpen else { return false }
            queue.jobs.append(job)
            // One wake-up serves all jobs that are queued before the loop runs them. The lock is
            // held during uv_async_send, because otherwise the loop could close before that call.
            if wakesLoop, !queue.isWakeUpPending {
                queue.isWakeUpPending = true
                uv_async_send(wakeUp)
            }
            return true
        }
    }

    var hasJobs: Bool {
        queue.withLock { !$0.jobs.isEmpty }
    }

    func runJobs(on loop: Loop) {
        let jobs = queue.withLock { queue in
            let jobs = queue.jobs
            queue.jobs = []
            queue.isWakeUpPending = false
            return jobs
        }
        for job in jobs { job(loop) }
    }

    /// Refuses further jobs, and runs the accepted jobs.
    func close(runningJobsOn loop: Loop) {
        queue.withLock { $0.isOpen = false }
        runJobs(on: loop)
    }

    func keepLoopRunning() {
        uv_ref(handle)
    }

    private var handle: UnsafeMutablePointer<uv_handle_t> {
        // SAFETY: only libuv uses the pointer, and a uv_async_t begins with a uv_handle_t.
        UnsafeMutableRawPointer(wakeUp).assumingMemoryBound(to: uv_handle_t.self)
    }
}
