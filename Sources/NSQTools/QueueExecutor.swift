import Dispatch

/// Runs tasks on a dispatch queue of its own. Tasks that block, for example in `fsync`, then do not
/// block the threads of Swift's cooperative pool.
package final class QueueExecutor: TaskExecutor {
    private let queue: DispatchQueue

    /// Creates an executor with a serial queue of its own.
    package init(name: String) { queue = DispatchQueue(label: name) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
