import GRDB

extension JobReader {
    /// The maximum number of rows that a query with a name or a tag reads for one page.
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
        var (jobs, before, read): ([JobRecord], JobID?, Int) = ([], query.before, 0)
        while jobs.count < query.limit, read < Self.maxReadRows {
            let ids = try self.ids(query, before: before, limit: portion)
            read += ids.count
            for id in ids where jobs.count < query.limit {
                before = id
                if let job = try job(id), query.selects(job) { jobs.append(job) }
            }
            let isExhausted = ids.count < portion && before == ids.last ?? before
            if isExhausted { return JobPage(jobs: jobs, next: nil) }
        }
        return JobPage(jobs: jobs, next: before)
    }

    /// Returns the IDs below `before` with the states and the queue of the query, in descending order.
    private func ids(_ query: JobQuery, before: JobID?, limit: Int) throws -> [JobID] {
        let end = before?.number ?? .max
        if let batch = query.batch {
            let select = try database.cachedStatement(
                sql: """
                    SELECT id FROM nsq_jobs_job WHERE batch_id = ? AND id < ? ORDER BY id DESC LIMIT ?
                    """)
            return try Int64.fetchAll(select, arguments: [batch.number, end, limit])
                .map { JobID($0) }
        }
        if query.queue == nil, query.states.isEmpty {
            let select = try database.cachedStatement(
                sql: "SELECT id FROM nsq_jobs_job WHERE id < ? ORDER BY id DESC LIMIT ?")
            return try Int64.fetchAll(select, arguments: [end, limit]).map { JobID($0) }
        }
        var ids: [Int64] = []
        for (queue, state) in try lists(query) {
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
    private func lists(_ query: JobQuery) throws -> [(queue: Int64, state: Int)] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT count.queue_id, count.state FROM nsq_jobs_count AS count
                JOIN nsq_jobs_queue AS queue ON queue.id = count.queue_id
                WHERE count.count > 0 AND queue.name = ifnull(?, queue.name)
                """, arguments: [query.queue])
        return rows.map { ($0[0], $0[1]) }.filter { list in
            query.states.isEmpty || query.states.contains { $0.rawValue == list.1 }
        }
    }
}

extension JobQuery {
    /// Returns whether a job has the name and the tag of the query.
    fileprivate func selects(_ job: JobRecord) -> Bool {
        (name == nil || name == job.name) && (tag.map { job.tags.contains($0) } ?? true)
            && (batch == nil || batch == job.batch)
            // The list of a batch has all queues and states.
            && (queue == nil || queue == job.queue)
            && (states.isEmpty || states.contains(job.state))
    }
}
