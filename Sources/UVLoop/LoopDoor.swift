import CLibuv

/// Where other threads hand the loop work: the one Sendable thing in a room of things that are not.
///
/// Its queue has no bound of its own, for refusing a job here would only move the question: those
/// who knock bound what they have under way (a window of publishes, a max-in-flight of messages).
package final class LoopDoor: Sendable {
    package typealias Job = @Sendable (Loop) -> Void

    private struct Waiting {
        var jobs: [Job] = []
        var isOpen = true
    }

    // SAFETY: uv_async_send is the one libuv call that any thread may make; the other uses are on
    // the loop's thread, and the pointer is freed with the last reference to the door.
    nonisolated(unsafe) private let bell: UnsafeMutablePointer<uv_async_t>
    private let waiting = Guarded(Waiting())

    init(of loop: UnsafeMutablePointer<uv_loop_t>) throws(UVError) {
        let bell = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
        bell.initialize(to: uv_async_t())
        let status = uv_async_init(loop, bell) { bell in
            let loop = Loop.of(bell)
            loop.door.runJobs(on: loop)
        }
        guard status == 0 else {
            bell.deallocate()
            throw UVError(code: status)
        }
        self.bell = bell
        uv_unref(handle)
    }

    deinit {
        bell.deallocate()
    }

    /// Runs `job` on the loop's thread, soon and in order, and returns at once.
    ///
    /// - Returns: whether it will run; false once the loop is closed.
    @discardableResult
    package func submit(_ job: @escaping Job) -> Bool {
        waiting.withLock { waiting in
            guard waiting.isOpen else { return false }
            waiting.jobs.append(job)
            // The first job rings for all that come before the loop wakes. Inside the lock, or
            // the loop could close between the look at `isOpen` and the ring.
            if waiting.jobs.count == 1 { uv_async_send(bell) }
            return true
        }
    }

    var hasJobs: Bool {
        waiting.withLock { !$0.jobs.isEmpty }
    }

    func runJobs(on loop: Loop) {
        let jobs = waiting.withLock { waiting in
            let jobs = waiting.jobs
            waiting.jobs = []
            return jobs
        }
        for job in jobs { job(loop) }
    }

    /// Refuses jobs from now on. Those that wait still run: who was let in may count on it.
    func lock(for loop: Loop) {
        waiting.withLock { $0.isOpen = false }
        runJobs(on: loop)
    }

    func keepLoopRunning() {
        uv_ref(handle)
    }

    private var handle: UnsafeMutablePointer<uv_handle_t> {
        // SAFETY: only handed to libuv, for which a uv_async_t begins with a uv_handle_t.
        UnsafeMutableRawPointer(bell).assumingMemoryBound(to: uv_handle_t.self)
    }
}
