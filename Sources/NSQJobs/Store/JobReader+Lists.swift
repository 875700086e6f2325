import GRDB
import TallyJSON

extension JobReader {
    /// Returns a page of a list.
    ///
    /// - Throws: ``JobsError/Code/invalidOption`` if the limit is not 1 to 1,000.
    func page(_ query: JobQuery) throws -> JobPage {
        guard (1...1_000).contains(query.limit) else {
            throw JobsError(
                .invalidOption, "the limit of a query must be 1 to 1000, not \(query.limit)")
        }
        let found = try matches(query, limit: query.limit)
        return JobPage(jobs: try found.ids.compactMap { try job(JobID($0)) }, next: found.next)
    }

    /// Counts the jobs that a query selects. For queues, states and error groups, it reads stored
    /// counters.
    func preview(of query: JobQuery) throws -> JobQueryPreview {
        if !query.isFiltered {
            if let group = query.errorGroup, query.batch == nil, !query.hasLists {
                let count = try Int.fetchOne(
                    database, sql: "SELECT count FROM nsq_jobs_error WHERE id = ?",
                    arguments: [group])
                return JobQueryPreview(count: Self.bounded(count ?? 0), isComplete: true)
            }
            if query.errorGroup == nil, query.batch == nil {
                let count = try lists(query).reduce(0) { $0 + $1.count }
                return JobQueryPreview(count: count, isComplete: true)
            }
        }
        var query = query
        query.before = nil
        let found = try matches(query, limit: ListSearch.maxRows)
        return JobQueryPreview(count: found.ids.count, isComplete: found.next == nil)
    }

    /// Returns the IDs that a query selects, in descending order, up to the bound of rows that one call
    /// may read.
    private func matches(
        _ query: JobQuery, limit: Int
    ) throws -> (ids: [Int64], next: JobID?) {
        var search = ListSearch(
            limit: limit, isFiltered: query.readsOtherJobs, at: .now)
        var before = query.before?.number ?? .max
        let lists = try self.lists(query)
        let listCount =
            query.readsLists(ofTotal: lists.reduce(0) { $0 + $1.count }) ? lists.count : 1
        while true {
            let portions = try self.portions(
                query, lists, before: before, limit: search.portion(of: listCount))
            guard let next = search.add(portions) else { return (search.ids, nil) }
            before = next
            if search.isDone(at: .now) { return (search.ids, JobID(before)) }
        }
    }

    /// Reads the next rows of each list that the search merges: at most `limit` rows of a list,
    /// with IDs below `before`.
    private func portions(
        _ query: JobQuery, _ lists: [QueueStateList], before: Int64, limit: Int
    ) throws -> [ListPortion] {
        if let group = query.errorGroup {
            let source = """
                FROM nsq_jobs_failure AS failure
                JOIN nsq_jobs_job AS job ON job.id = failure.job_id
                WHERE failure.error_id = :list AND failure.job_id < :before
                ORDER BY failure.job_id DESC LIMIT :limit
                """
            return [try portion(query, source, ["list": group], before: before, limit: limit)]
        }
        if let batch = query.batch {
            let source = """
                FROM nsq_jobs_job AS job WHERE batch_id = :list AND id < :before
                ORDER BY id DESC LIMIT :limit
                """
            return [
                try portion(query, source, ["list": batch.number], before: before, limit: limit)
            ]
        }
        let readsLists = query.readsLists(ofTotal: lists.reduce(0) { $0 + $1.count })
        if let name = query.name, !readsLists {
            let source = """
                FROM nsq_jobs_job AS job WHERE name = :list AND id < :before
                ORDER BY id DESC LIMIT :limit
                """
            return [try portion(query, source, ["list": name], before: before, limit: limit)]
        }
        guard readsLists else {
            let source = "FROM nsq_jobs_job AS job WHERE id < :before ORDER BY id DESC LIMIT :limit"
            return [try portion(query, source, [:], before: before, limit: limit)]
        }
        return try lists.map { list in
            // Running jobs are few. Without the named index, SQLite would read all rows in the order of
            // their IDs.
            let isRunning = list.state == JobState.running.rawValue
            let source = """
                FROM nsq_jobs_job AS job \(isRunning ? "INDEXED BY nsq_jobs_job_lease" : "")
                WHERE queue_id = :list AND state = :state
                    AND state \(isRunning ? "=" : "<>") 2 AND id < :before
                ORDER BY id DESC LIMIT :limit
                """
            return try portion(
                query, source, ["list": list.queue, "state": list.state], before: before,
                limit: limit)
        }
    }

    private func portion(
        _ query: JobQuery, _ source: String, _ values: StatementArguments, before: Int64,
        limit: Int
    ) throws -> ListPortion {
        let filter = ListFilter(query)
        let select = try database.cachedStatement(sql: "SELECT job.id, \(filter.sql) \(source)")
        let rows = try ListRow.fetchAll(
            select, filter.arguments &+ values &+ ["before": before, "limit": limit])
        return ListPortion(rows, limit: limit)
    }

    /// The lists that the query selects and that are not empty.
    private func lists(_ query: JobQuery) throws -> [QueueStateList] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT count.queue_id, count.state, count.count FROM nsq_jobs_count AS count
                JOIN nsq_jobs_queue AS queue ON queue.id = count.queue_id
                WHERE count.count > 0 AND queue.name = ifnull(?, queue.name)
                """, arguments: [query.queue])
        return rows.map { row in
            QueueStateList(queue: row[0], state: row[1], count: Self.bounded(row[2]))
        }.filter { list in
            query.states.isEmpty || query.states.contains { $0.rawValue == list.state }
        }
    }
}

/// The jobs of one queue in one state.
private struct QueueStateList {
    let queue: Int64
    let state: Int
    let count: Int
}

extension JobReader {
    /// Returns the names of jobs with a prefix. Each name costs one search in the index.
    func names(prefix: String, limit: Int) throws -> [String] {
        let first = try database.cachedStatement(
            sql: "SELECT name FROM nsq_jobs_job WHERE name >= ? ORDER BY name LIMIT 1")
        let next = try database.cachedStatement(
            sql: "SELECT name FROM nsq_jobs_job WHERE name > ? ORDER BY name LIMIT 1")
        var names: [String] = []
        while names.count < limit {
            let name =
                if let last = names.last {
                    try String.fetchOne(next, arguments: [last])
                } else {
                    try String.fetchOne(first, arguments: [prefix])
                }
            guard let name, name.utf8.starts(with: prefix.utf8) else { break }
            names.append(name)
        }
        return names
    }
}
