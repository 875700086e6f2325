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

/// A search that merges lists in descending order of the IDs, and ends after a bounded number of rows. It
/// is a pure value: the caller reads the rows.
struct ListSearch {
    /// The maximum number of rows that one search reads, and the maximum number between two checks of
    /// the deadline.
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
    ///   - isFiltered: `true` if the search can read rows that the query does not select.
    ///   - now: the start.
    init(limit: Int, isFiltered: Bool, at now: ContinuousClock.Instant) {
        self.limit = limit
        self.isFiltered = isFiltered
        deadline = now + Self.maxDuration
    }

    /// Returns the number of rows to read next from each list.
    ///
    /// - Parameter lists: the number of lists.
    func portion(of lists: Int) -> Int {
        guard isFiltered else {
            return max(1, min(limit - ids.count, Self.maxRows / max(1, lists)))
        }
        return max(1, min(Self.maxPortion, Self.maxRows - read) / max(1, lists))
    }

    /// `true` if the search must end: enough jobs were found, enough rows were read, or the deadline
    /// has passed.
    func isDone(at now: ContinuousClock.Instant) -> Bool {
        ids.count >= limit || read >= Self.maxRows || now >= deadline
    }

    /// Adds the next portion of each list.
    ///
    /// - Returns: the ID below which the search continues; `nil` if there is nothing more.
    mutating func add(_ portions: [ListPortion]) -> Int64? {
        read += portions.reduce(0) { $0 + $1.rows.count }
        // The rows of a list below its `end` are not read yet. Therefore, only rows down to the
        // highest `end` can be merged.
        let end = portions.compactMap(\.end).max()
        var found = portions.flatMap(\.rows)
            .filter { $0.isSelected && $0.id >= end ?? .min }.map(\.id)
        found.sort(by: >)
        let rest = limit - ids.count
        ids += found.prefix(rest)
        return found.count > rest ? ids.last : end
    }
}

/// The condition of a query on the columns that have no index.
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
            // The first condition rejects most rows, so that their tags need not be parsed.
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
        if query.errorGroup != nil, let batch = query.batch {
            // The search reads the list of the error group, so the batch is a condition on the rows
            // of that list.
            conditions.append("job.batch_id = :batch")
            values["batch"] = batch.number
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
    /// `true` if the query has a condition for which rows must be read and tested.
    var isFiltered: Bool { name != nil || tag != nil || text != nil }

    /// `true` if the query selects a queue or states.
    var hasLists: Bool { queue != nil || !states.isEmpty }

    /// `true` if the list that is read can contain jobs of all queues and states.
    var readsAllQueues: Bool { errorGroup != nil || batch != nil || name != nil }

    /// Returns `true` if the lists of queues and states are read. If these lists have few jobs, reading
    /// them is faster than reading all jobs with the name.
    ///
    /// - Parameter count: the number of jobs in these lists.
    func readsLists(ofTotal count: Int) -> Bool {
        hasLists && errorGroup == nil && batch == nil
            && (name == nil || count <= ListSearch.maxRows)
    }

    /// `true` if the search can read rows that the query does not select.
    var readsOtherJobs: Bool { isFiltered || readsAllQueues }
}
