import GRDB
import TallyJSON

/// One job that a search has read.
struct ListRow: StatementRow {
    let id: Int64
    /// `true` if the filter selects the job.
    let isSelected: Bool

    init(id: Int64, isSelected: Bool) {
        self.id = id
        self.isSelected = isSelected
    }

    init(_ columns: StatementColumns) {
        self.init(id: columns.integer(0), isSelected: columns.int(1) != 0)
    }
}

/// The next rows of one list, in descending order of their IDs.
struct ListPortion {
    let rows: [ListRow]
    /// The ID down to which the list was read; `nil` if it was read to its end.
    let end: Int64?

    init(_ rows: [ListRow], limit: Int) {
        self.rows = rows
        end = rows.count < limit ? nil : rows.last?.id
    }
}

/// A search that merges lists in descending order of the IDs, and ends after a bounded number of rows, as
/// a pure value.
struct ListSearch {
    /// The maximum number of rows that one search reads, and that it reads before it looks at the clock.
    static let (maxRows, maxPortion) = (10_000, 1_000)
    /// The maximum duration of a search, after which it ends with what it has found.
    static let maxDuration = Duration.milliseconds(20)

    private let limit: Int
    private let isFiltered: Bool
    private let deadline: ContinuousClock.Instant
    private(set) var ids: [Int64] = []
    private var read = 0

    /// - Parameters:
    ///   - limit: the maximum number of found jobs.
    ///   - isFiltered: `true` if rows can be read that are not selected.
    ///   - now: the start.
    init(limit: Int, isFiltered: Bool, at now: ContinuousClock.Instant) {
        self.limit = limit
        self.isFiltered = isFiltered
        deadline = now + Self.maxDuration
    }

    /// The number of rows to read next from each of `lists`.
    func portion(of lists: Int) -> Int {
        guard isFiltered else { return limit - ids.count }
        return max(1, min(Self.maxPortion, Self.maxRows - read) / max(1, lists))
    }

    /// `true` if enough was found or read.
    func isDone(at now: ContinuousClock.Instant) -> Bool {
        ids.count >= limit || read >= Self.maxRows || now >= deadline
    }

    /// Adds the next portion of each list.
    ///
    /// - Returns: the ID below which the search continues; `nil` if there is nothing more.
    mutating func add(_ portions: [ListPortion]) -> Int64? {
        read += portions.reduce(0) { $0 + $1.rows.count }
        // Below the highest end, the rows of that list are not known yet.
        let end = portions.compactMap(\.end).max()
        var found = portions.flatMap(\.rows)
            .filter { $0.isSelected && $0.id >= end ?? .min }.map(\.id)
        found.sort(by: >)
        let rest = limit - ids.count
        ids += found.prefix(rest)
        return found.count > rest ? ids.last : end
    }
}

/// The condition of a query on the columns that no index has.
struct ListFilter {
    let sql: String
    let arguments: StatementArguments

    init(_ query: JobQuery) {
        var conditions: [String] = []
        var values: [String: (any DatabaseValueConvertible)?] = [:]
        if let name = query.name {
            conditions.append("job.name = :name")
            values["name"] = name
        }
        if let tag = query.tag {
            // Most rows are refused without their tags being parsed.
            conditions.append(
                """
                instr(ifnull(job.tags, ''), :quoted) AND json_valid(job.tags)
                AND EXISTS (SELECT 1 FROM json_each(job.tags) WHERE value = :tag)
                """)
            values["tag"] = tag
            values["quoted"] = String(decoding: JSONWriter.value(tag), as: UTF8.self)
        }
        if let text = query.text {
            let columns = ["name", "unique_key", "tags", "note", "arguments"]
            conditions.append(
                "("
                    + columns.map { "instr(lower(ifnull(job.\($0), '')), lower(:text))" }
                    .joined(separator: " OR ") + ")")
            values["text"] = text
        }
        if query.readsAllQueues {
            if !query.states.isEmpty {
                let states = query.states.map { "\($0.rawValue)" }.sorted().joined(separator: ", ")
                conditions.append("job.state IN (\(states))")
            }
            if let queue = query.queue {
                conditions.append(
                    "job.queue_id = (SELECT id FROM nsq_jobs_queue WHERE name = :queue)")
                values["queue"] = queue
            }
        }
        sql = conditions.isEmpty ? "1" : conditions.joined(separator: " AND ")
        arguments = StatementArguments(values)
    }
}

extension JobQuery {
    /// `true` if the query has a condition that no index answers alone.
    var isFiltered: Bool { name != nil || tag != nil || text != nil }

    /// `true` if the query selects a queue or states.
    var hasLists: Bool { queue != nil || !states.isEmpty }

    /// `true` if the list that is read can contain jobs of all queues and states.
    var readsAllQueues: Bool { errorGroup != nil || batch != nil || name != nil }

    /// `true` if rows can be read that are not selected.
    var readsOtherJobs: Bool { isFiltered || readsAllQueues }
}
