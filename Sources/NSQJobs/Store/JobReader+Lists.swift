import GRDB

extension JobReader {
    /// The maximum number of rows that a query with a name, a tag or a batch reads for one page.
    private static let maxReadRows = 10_000

    /// Returns a page of a list.
    ///
    /// - Throws: ``JobsError/Code/invalidOption`` if the limit is not 1 to 1,000.
    func page(_ query: JobQuery) throws -> JobPage {
        guard (1...1_000).contains(query.limit) else {
            throw JobsError(
                .invalidOption, "the limit of a query must be 1 to 1000, not \(query.limit)")
        }
        let isFiltered = query.name != nil || query.tag != nil || query.batch != nil
        let portion = isFiltered ? min(Self.maxReadRows, query.limit * 10) : query.limit
        let source = try source(query)
        var (jobs, before, read): ([JobRecord], JobID?, Int) = ([], query.before, 0)
        while jobs.count < query.limit, read < Self.maxReadRows {
            let candidates = try candidates(source, query, before: before, limit: portion)
            read += candidates.count
            for candidate in candidates where jobs.count < query.limit {
                before = candidate.id
                guard candidate.isPossible, let job = try job(candidate.id), query.selects(job)
                else { continue }
                jobs.append(job)
            }
            let isExhausted =
                candidates.count < portion && before == candidates.last?.id ?? before
            if isExhausted { return JobPage(jobs: jobs, next: nil) }
        }
        return JobPage(jobs: jobs, next: before)
    }

    /// The index that a list reads.
    private enum Source {
        case all, batch, name, states
    }

    /// A job of the index of a list.
    private struct Candidate {
        let id: JobID
        /// `false` if the job is not in a state of the query.
        var isPossible = true
    }

    private func source(_ query: JobQuery) throws -> Source {
        if query.batch != nil { return .batch }
        let hasLists = query.queue != nil || !query.states.isEmpty
        guard query.name != nil else { return hasLists ? .states : .all }
        // Few jobs of a queue or a state are read faster than all jobs with the name.
        let isShort = try hasLists && lists(query).reduce(0) { $0 + $1.count } <= Self.maxReadRows
        return isShort ? .states : .name
    }

    /// Returns jobs below `before` in descending order.
    private func candidates(
        _ source: Source, _ query: JobQuery, before: JobID?, limit: Int
    ) throws -> [Candidate] {
        let end = before?.number ?? .max
        switch source {
        case .all:
            return try candidates("id < ?", [end, limit], query)
        case .batch:
            return try candidates(
                "batch_id = ? AND id < ?", [query.batch?.number, end, limit], query)
        case .name:
            return try candidates("name = ? AND id < ?", [query.name, end, limit], query)
        case .states:
            return try ids(query, before: before, limit: limit).map { Candidate(id: $0) }
        }
    }

    private func candidates(
        _ condition: String, _ arguments: StatementArguments, _ query: JobQuery
    ) throws -> [Candidate] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, state FROM nsq_jobs_job WHERE \(condition) ORDER BY id DESC LIMIT ?
                """)
        let states = query.states
        return try Row.fetchAll(select, arguments: arguments).map { row in
            let state: Int = row[1]
            return Candidate(
                id: JobID(row[0] as Int64),
                isPossible: states.isEmpty || states.contains { $0.rawValue == state })
        }
    }

    /// Returns the IDs below `before` with the states and the queue of the query, in descending order.
    private func ids(_ query: JobQuery, before: JobID?, limit: Int) throws -> [JobID] {
        let end = before?.number ?? .max
        var ids: [Int64] = []
        for (queue, state, _) in try lists(query) {
            let select = try database.cachedStatement(
                sql: """
                    SELECT id FROM nsq_jobs_job
                    WHERE queue_id = ? AND state = ? AND state \(state == 2 ? "=" : "<>") 2 AND id < ?
                    ORDER BY id DESC LIMIT ?
                    """)
            ids += try Int64.fetchAll(select, arguments: [queue, state, end, limit])
        }
        return ids.sorted(by: >).prefix(limit).map { JobID($0) }
    }

    /// The pairs of a queue and a state that have jobs, of those that the query selects.
    private func lists(
        _ query: JobQuery
    ) throws -> [(queue: Int64, state: Int, count: Int)] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT count.queue_id, count.state, count.count FROM nsq_jobs_count AS count
                JOIN nsq_jobs_queue AS queue ON queue.id = count.queue_id
                WHERE count.count > 0 AND queue.name = ifnull(?, queue.name)
                """, arguments: [query.queue])
        return rows.map { ($0[0], $0[1], $0[2]) }.filter { list in
            query.states.isEmpty || query.states.contains { $0.rawValue == list.1 }
        }
    }
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

extension JobQuery {
    /// Returns whether a job has the name and the tag of the query.
    fileprivate func selects(_ job: JobRecord) -> Bool {
        (name == nil || name == job.name) && (tag.map { job.tags.contains($0) } ?? true)
            && (batch == nil || batch == job.batch)
            // The lists of a batch and of a name have all queues and states.
            && (queue == nil || queue == job.queue)
            && (states.isEmpty || states.contains(job.state))
    }
}
