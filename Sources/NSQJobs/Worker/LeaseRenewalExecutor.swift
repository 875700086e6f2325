import Dispatch
import TallyBasics

/// Runs the tasks that renew leases on a thread of their own.
///
/// Swift's shared pool has only as many threads as the machine has processors. Jobs that compute or
/// block without suspending can occupy all of these threads, and their leases must be renewed
/// nevertheless. `Task.sleep` also needs the pool, so these tasks use ``sleep(for:)``.
final class LeaseRenewalExecutor: TaskExecutor {
    private let queue: DispatchQueue

    init(name: String) {
        queue = DispatchQueue(label: name, qos: .userInitiated)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Suspends a task of this executor. A cancellation does not end the sleep.
    func sleep(for duration: Duration) async {
        await withCheckedContinuation { waiter in
            let delay = DispatchTimeInterval.nanoseconds(Int(duration.nanoseconds))
            queue.asyncAfter(deadline: .now() + delay) { waiter.resume() }
        }
    }
}
