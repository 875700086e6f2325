import HTTP

/// The operation that a request selects: one of nsqlookupd's operations, or one of two that only
/// this server has.
enum LookupRoute: Equatable, Sendable {
    case ping
    case info
    case lookup
    case topics
    case channels
    case nodes
    case debug
    case createTopic
    case deleteTopic
    case tombstone
    case createChannel
    case deleteChannel
    // nsqlookupd does not have the operations below.
    case metrics
    case health

    /// `true` if the operation changes the registrations.
    var isChange: Bool {
        switch self {
        case .createTopic, .deleteTopic, .tombstone, .createChannel, .deleteChannel: true
        default: false
        }
    }

    /// The routes of the HTTP API.
    static let router = HTTPRouter<LookupRoute>([
        "GET": [
            "/ping": .ping, "/info": .info, "/lookup": .lookup, "/topics": .topics,
            "/channels": .channels, "/nodes": .nodes, "/debug": .debug, "/metrics": .metrics,
            "/livez": .health, "/readyz": .health, "/healthz": .health,
        ],
        "POST": [
            "/topic/create": .createTopic, "/topic/delete": .deleteTopic,
            "/topic/tombstone": .tombstone, "/channel/create": .createChannel,
            "/channel/delete": .deleteChannel,
        ],
    ])
}
