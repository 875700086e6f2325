import Dispatch

/// Runs tasks on a dispatch queue, so that tasks that block, for example in `fsync`, do not block the
/// threads of the cooperative pool.
package final class QueueExecutor: TaskExecutor {
    private let queue: DispatchQueue

    /// Creates an executor with a serial queue of its own.
    package init(name: String) { queue = DispatchQueue(label: name) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
