import HTTP

/// The operation that a request selects: one of nsqd's operations, or one of two additional ones.
enum BrokerRoute: Equatable {
    case ping
    case info
    case stats
    case publish
    case multiPublish
    case topic(Action)
    case channel(Action)
    case getOption(String)
    case putOption(String)
    // nsqd does not have the operations below.
    case metrics
    case health

    /// `true` if the operation changes state that is stored in the data path.
    var changesStoredState: Bool {
        switch self {
        case .publish, .multiPublish, .topic, .channel: true
        default: false
        }
    }

    enum Action: String, CaseIterable {
        case create, delete, empty, pause, unpause
    }

    /// The routes of the HTTP API.
    static let router: HTTPRouter<BrokerRoute> = {
        var posts: [String: BrokerRoute] = ["/pub": .publish, "/mpub": .multiPublish]
        for action in Action.allCases {
            posts["/topic/\(action)"] = .topic(action)
            posts["/channel/\(action)"] = .channel(action)
        }
        let gets: [String: BrokerRoute] = [
            "/ping": .ping, "/info": .info, "/stats": .stats, "/metrics": .metrics,
            "/healthz": .health,
        ]
        let options = HTTPRouter<BrokerRoute>.Parameter(
            after: "/config/", ["GET": { .getOption($0) }, "PUT": { .putOption($0) }])
        return HTTPRouter(["GET": gets, "POST": posts], options)
    }()
}
