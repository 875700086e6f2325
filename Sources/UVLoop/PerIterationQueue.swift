/// Runs jobs of one kind, with a limited number of jobs and a limited time per loop iteration. Many
/// clients that act at the same time therefore do not delay the other clients.
///
/// A job runs at once if the limits of this iteration are not reached and no earlier job waits.
/// Otherwise it waits for a later iteration; jobs run in the order in which they were submitted. The
/// time is checked after each job, so one job may exceed the limit. The caller bounds the number of
/// waiting jobs, usually by one job per connection.
package final class PerIterationQueue {
    private let loop: Loop
    private let maxJobs: Int
    private let maxNanoseconds: Int64
    private var waiting: [() -> Void] = []
    /// The index in `waiting` of the next job; the jobs before it have run.
    private var nextIndex = 0
    /// The iteration that `remainingJobs` and `remainingNanoseconds` belong to.
    private var iteration = -1
    private var remainingJobs = 0
    private var remainingNanoseconds: Int64 = 0
    private var isScheduled = false
    private var isRunningJob = false

    /// Creates a queue of a loop.
    ///
    /// - Parameters:
    ///   - jobs: the maximum number of jobs in one loop iteration.
    ///   - time: the time after which no further job of the iteration begins.
    package init(on loop: Loop, jobs: Int, time: Duration) {
        precondition(jobs > 0 && time > .zero, "a portion contains at least one job")
        self.loop = loop
        maxJobs = jobs
        maxNanoseconds = Int64(time / .nanoseconds(1))
    }

    /// The number of jobs that wait for a later iteration.
    package var waitingCount: Int { waiting.count - nextIndex }

    /// Runs `job` once, now or in a later iteration. A job that another job submits runs at once if
    /// no job waits, as a part of that other job.
    package func submit(_ job: @escaping () -> Void) {
        if isRunningJob, waitingCount == 0 { return job() }
        if loop.iteration > iteration { resetBudget(for: loop.iteration) }
        guard waitingCount == 0, hasBudget else {
            waiting.append(job)
            return scheduleRest()
        }
        run(job)
    }

    private var hasBudget: Bool { remainingJobs > 0 && remainingNanoseconds > 0 }

    private func resetBudget(for iteration: Int) {
        self.iteration = iteration
        remainingJobs = maxJobs
        remainingNanoseconds = maxNanoseconds
    }

    private func run(_ job: () -> Void) {
        let start = loop.nowNanoseconds
        isRunningJob = true
        job()
        isRunningJob = false
        remainingJobs -= 1
        remainingNanoseconds -= loop.nowNanoseconds - start
    }

    private func scheduleRest() {
        guard !isScheduled else { return }
        isScheduled = true
        loop.runInNextIteration { [weak self] in self?.runWaiting() }
    }

    private func runWaiting() {
        isScheduled = false
        // The loop increments `iteration` only after this call. Jobs that are submitted later in the
        // same iteration use the rest of this budget.
        resetBudget(for: loop.iteration + 1)
        while waitingCount > 0, hasBudget {
            let job = waiting[nextIndex]
            waiting[nextIndex] = {}
            nextIndex += 1
            run(job)
        }
        removeStarted()
        if waitingCount > 0 { scheduleRest() }
    }

    /// Removes the jobs that have run, when they are at least half of the array.
    private func removeStarted() {
        guard nextIndex * 2 >= waiting.count else { return }
        waiting.removeFirst(nextIndex)
        nextIndex = 0
    }
}
