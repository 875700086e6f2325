import NSQJobs
import TallyJSON

extension JobsAPIRequest {
    /// A change of all jobs that a filter selects.
    struct Bulk: Equatable {
        /// The name of the change for the action log, such as `move to mail`.
        let name: String
        let change: JobBulkChange
        let query: JobQuery
    }
}

extension JobsAPIRequest.Bulk {
    private static let names: Set<String> = ["action", "queue", "filter"]
    private static let filterNames: Set<String> = [
        "state", "queue", "name", "tag", "text", "error", "batch",
    ]

    /// Parses the body of `POST /api/jobs/bulk`. The filter is required. None of its members may be
    /// `null` or empty: a client that forgets a value would otherwise change all jobs.
    init(json: JSONValue) throws(JobsAPIRequest.Refusal) {
        let members = try JSONMembers(json, names: Self.names)
        let queue = try members.text("queue")
        let action = try members.text("action") ?? ""
        switch (action, queue) {
        case ("retry", nil): change = .retry
        case ("cancel", nil): change = .cancel
        case ("discard", nil): change = .discard
        case ("move", let queue?): change = .edit(JobEdit(queue: queue))
        default:
            throw .init(
                400, "action must be retry, cancel, discard, or move with the name of a queue")
        }
        guard let filter = members["filter"] else { throw .init(400, "filter is missing") }
        if case .object(let members) = filter,
            let empty = members.first(where: { $0.value == .null || $0.value == .string("") })
        {
            throw .init(400, "\(empty.name) must have a value; leave it out to select all")
        }
        name = queue.map { "move to \($0)" } ?? action
        query = try Self.query(try JSONMembers(filter, names: Self.filterNames))
    }

    private static func query(
        _ members: JSONMembers
    ) throws(JobsAPIRequest.Refusal) -> JobQuery {
        var query = JobQuery(
            queue: try members.text("queue"), name: try members.text("name"),
            tag: try members.text("tag"), text: try members.text("text"))
        let states = try members.text("state")
        query.states = try JobQuery.states(states)
        guard states == nil || !query.states.isEmpty else {
            throw .init(400, "state must name at least one state")
        }
        if let number = try members.value("batch", Int.self, "the ID of a batch") {
            query.batch = JobBatchID(Int64(number))
        }
        if let number = try members.value("error", Int.self, "a whole number") {
            query.errorGroup = Int64(number)
        }
        return query
    }
}
