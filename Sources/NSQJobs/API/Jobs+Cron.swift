extension Jobs {
    /// Stores a schedule, or replaces the one with the same name. The relays of all processes enqueue its
    /// jobs, each tick once, also after the process that has stored it has ended.
    ///
    /// If the expression and the time zone do not change, the next tick stays the same. So a program
    /// can store its schedules at each start.
    ///
    /// - Throws: ``JobsError/Code/invalidName``, ``JobsError/Code/invalidArguments`` or
    ///   ``JobsError/Code/invalidOption`` if the name or the job is not valid;
    ///   ``JobsError/Code/storeFailed``.
    public func schedule(_ schedule: CronSchedule) async throws(JobsError) {
        try JobNames.check(name: schedule.name)
        var schedule = schedule
        schedule.job =
            try preparedTemplate(schedule.job, of: "the job of a schedule") ?? schedule.job
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

    /// Returns the first 1,000 schedules by name, each with its next tick. A schedule that this program
    /// cannot read, for example because its time zone is unknown, is left out.
    public func schedules() async throws(JobsError) -> [CronSchedule] {
        try await store.schedules()
    }
}
