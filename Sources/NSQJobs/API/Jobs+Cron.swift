extension Jobs {
    /// Stores a schedule, or replaces the one with the same name. The relays of all processes enqueue its
    /// jobs, each tick once, also after the process that has stored it has ended.
    ///
    /// If the expression and the time zone are those of before, the next tick stays the same. So a program
    /// can store its schedules at each start.
    ///
    /// - Throws: ``JobsError/Code/invalidName``, ``JobsError/Code/invalidArguments`` or
    ///   ``JobsError/Code/invalidOption`` if the name or the job is not valid;
    ///   ``JobsError/Code/storeFailed``.
    public func schedule(_ schedule: CronSchedule) async throws(JobsError) {
        try JobNames.check(name: schedule.name)
        try schedule.job.validate()
        guard schedule.job.options.grade == .tracked else {
            throw JobsError(.invalidOption, "the job of a schedule cannot be fleeting")
        }
        try JobArguments.check(schedule.job.arguments, name: schedule.job.name)
        let now = clock.now()
        try await store.store(schedule, at: now)
        if let next = schedule.expression.next(after: now) { broker?.relay.jobsStored(due: next) }
    }

    /// Deletes a schedule. The jobs that it has enqueued stay.
    ///
    /// - Returns: `false` if there is none with this name.
    @discardableResult
    public func unschedule(_ name: String) async throws(JobsError) -> Bool {
        try await store.removeSchedule(name)
    }

    /// Returns the first 1,000 schedules by name, each with its next tick. Those that this program cannot
    /// read, for example because it does not know their time zone, are left out.
    public func schedules() async throws(JobsError) -> [CronSchedule] {
        try await store.schedules()
    }
}
