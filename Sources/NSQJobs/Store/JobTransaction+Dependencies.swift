import GRDB
import TallyBasics

extension JobTransaction {
    // MARK: New jobs

    /// Stores the dependencies of a new job.
    ///
    /// - Returns: whether the job waits for others, and the ended dependency because of which it must
    ///   be cancelled.
    /// - Throws: ``JobsError/Code/unknownJob``.
    func storeDependencies(
        _ dependencies: JobDependencies, of id: JobID
    ) throws -> (isWaiting: Bool, failed: (id: JobID, state: JobState)?) {
        var isWaiting = false
        var failed: (JobID, JobState)?
        let insert = try database.cachedStatement(
            sql: "INSERT INTO nsq_jobs_dependency VALUES (?, ?, ?)")
        for dependency in Set(dependencies.ids).sorted() {
            guard let state = try row(dependency)?.lifecycle.state else {
                throw JobsError.unknownJob(dependency)
            }
            switch JobDependencies.effect(of: state, dependencies.onFailure) {
            case .satisfied: break
            case .cancelled: failed = failed ?? (dependency, state)
            case .waits:
                isWaiting = true
                try insert.execute(arguments: [
                    dependency.number, id.number, dependencies.onFailure.rawValue,
                ])
                ends.hasDependencies = true
            }
        }
        return (isWaiting, failed)
    }

    // MARK: Ends

    /// Records the consequences of a transition for the job's batch, and for the jobs that wait for the
    /// job.
    func recordEnd(of row: JobRow, from old: JobLifecycle, at now: JobTime) throws {
        let state = row.lifecycle.state
        let id = JobID(row.id)
        if old.hold == .jobs, row.lifecycle.hold != .jobs { try deleteDependencies(of: id) }
        guard old.state.isFinal || state.isFinal, old.state != state else { return }
        if let batch = row.batch {
            ends.change(batch, at: now) {
                $0.add(-1, in: old.state)
                $0.add(1, in: state)
            }
        }
        if state.isFinal, try hasDependencies() { ends.jobEnded(id, in: state, at: now) }
    }

    /// Returns whether any job waits for others.
    func hasDependencies() throws -> Bool {
        if let known = ends.hasDependencies { return known }
        let select = try database.cachedStatement(sql: "SELECT 1 FROM nsq_jobs_dependency LIMIT 1")
        let found = try Int.fetchOne(select) != nil
        ends.hasDependencies = found
        return found
    }

    /// Returns whether a job waits for this one.
    func hasDependents(_ id: JobID) throws -> Bool {
        guard try hasDependencies() else { return false }
        let select = try database.cachedStatement(
            sql: "SELECT 1 FROM nsq_jobs_dependency WHERE dependency_id = ? LIMIT 1")
        return try Int.fetchOne(select, arguments: [id.number]) != nil
    }

    private func deleteDependencies(of id: JobID) throws {
        let delete = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_dependency WHERE job_id = ?")
        try delete.execute(arguments: [id.number])
    }

    /// Releases or cancels the jobs that wait for ended ones. The relay continues with the jobs
    /// that exceed the maximum number per change.
    func resolveDependencies() throws {
        while let (id, state) = ends.removeEnded() {
            guard ends.dependentsLeft > 0 else {
                if try hasDependents(id) { try storeUnresolved(id) }
                continue
            }
            let dependents = try dependents(of: id, in: state, limit: ends.dependentsLeft)
            ends.dependentsLeft -= dependents.count
            for dependent in dependents {
                try resolve(dependent, (id, state), at: ends.now)
            }
            if ends.dependentsLeft == 0, try hasDependents(id) { try storeUnresolved(id) }
        }
    }

    private func storeUnresolved(_ id: JobID) throws {
        let insert = try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO nsq_jobs_unresolved VALUES (?)")
        try insert.execute(arguments: [id.number])
    }

    private struct Dependent {
        let id: JobID
        let policy: JobDependencies.FailurePolicy
    }

    /// The jobs that wait for an ended job, and on which its end has an effect.
    private func dependents(
        of id: JobID, in state: JobState, limit: Int
    ) throws -> [Dependent] {
        let select = try database.cachedStatement(
            sql: """
                SELECT job_id, on_failure FROM nsq_jobs_dependency
                WHERE dependency_id = ? AND (? OR on_failure <> 2) ORDER BY job_id LIMIT ?
                """)
        return try Row.fetchAll(
            select, arguments: [id.number, state == .completed, limit]
        ).map { Dependent(id: JobID($0[0]), policy: .init(rawValue: $0[1]) ?? .cancel) }
    }

    private func resolve(
        _ dependent: Dependent, _ ended: (id: JobID, state: JobState), at now: JobTime
    ) throws {
        let delete = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_dependency WHERE dependency_id = ? AND job_id = ?")
        try delete.execute(arguments: [ended.id.number, dependent.id.number])
        guard let row = try row(dependent.id), row.lifecycle.hold == .jobs else { return }
        switch JobDependencies.effect(of: ended.state, dependent.policy) {
        case .cancelled: try cancel(row, after: ended, at: now)
        case .satisfied: try release(row, at: now)
        case .waits: break
        }
    }

    /// Cancels a job, because a job that it waits for was discarded or cancelled.
    func cancel(
        _ row: JobRow, after ended: (id: JobID, state: JobState), at now: JobTime
    ) throws {
        var row = row
        let old = row.lifecycle
        guard try row.lifecycle.cancel(at: now) == .cancelled else { return }
        row.note = "job \(ended.id), which this job waits for, was \(ended.state)"
        row.resetPublication()
        try write(row, from: old, at: now)
    }

    private func release(_ row: JobRow, at now: JobTime) throws {
        let select = try database.cachedStatement(
            sql: "SELECT 1 FROM nsq_jobs_dependency WHERE job_id = ? LIMIT 1")
        guard try Int.fetchOne(select, arguments: [row.id]) == nil else { return }
        var row = row
        let old = row.lifecycle
        guard row.lifecycle.dependenciesEnded(at: now) else { return }
        row.resetPublication()
        try write(row, from: old, at: now)
        hasNewlyAvailable = true
    }

    // MARK: Work of the relay

    /// Continues with the dependents of jobs that have more dependents than one change may release
    /// or cancel.
    ///
    /// - Returns: `true` if there can be more.
    func resolveRest(limit: Int, at now: JobTime) throws -> Bool {
        let select = try database.cachedStatement(
            sql: "SELECT job_id FROM nsq_jobs_unresolved LIMIT ?")
        let delete = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_unresolved WHERE job_id = ?")
        let ids = try Int64.fetchAll(select, arguments: [limit])
        for id in ids {
            try delete.execute(arguments: [id])
            // A job that was retried in the meantime is not final. Its dependents are released when
            // it ends again.
            guard let state = try row(JobID(id))?.lifecycle.state, state.isFinal else { continue }
            ends.jobEnded(JobID(id), in: state, at: now)
        }
        return !ids.isEmpty
    }
}

extension JobReader {
    /// Returns the jobs for which a job waits.
    func dependencies(of id: JobID) throws -> [JobID] {
        let select = try database.cachedStatement(
            sql: """
                SELECT dependency_id FROM nsq_jobs_dependency WHERE job_id = ? ORDER BY dependency_id
                """)
        return try Int64.fetchAll(select, arguments: [id.number]).map { JobID($0) }
    }
}
