import HTTP

/// The operation that a request selects: one of nsqd's operations, or an additional one.
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
    case liveness
    case readiness
    case messages(hasChannel: Bool)
    case changeMessage(MessageChange)
    case changeMessages(MessageChange)
    case messageOperations
    case cancelMessageOperation
    case drain(DrainAction)
    case handOver
    case setLifetime
    case lifetimes
    case setMaxAttempts
    case failed(FailedAction)

    /// `true` if the operation changes state that is stored in the data path.
    var changesStoredState: Bool {
        switch self {
        case .publish, .multiPublish, .topic, .channel, .handOver, .failed(.retry),
            .failed(.discard):
            true
        default: false
        }
    }

    /// `true` if the response depends on several loop iterations.
    var respondsLater: Bool {
        switch self {
        case .messages, .changeMessage: true
        default: false
        }
    }

    enum Action: String, CaseIterable {
        case create, delete, empty, pause, unpause
    }

    /// A change of messages of a channel.
    enum MessageChange: String, CaseIterable {
        case delete, requeue, `defer`, move
    }

    enum FailedAction: Equatable {
        case list, retry, discard
    }

    enum DrainAction: Equatable {
        case begin, report, cancel
    }

    /// The routes of the HTTP API.
    static let router: HTTPRouter<BrokerRoute> = {
        var posts: [String: BrokerRoute] = [
            "/pub": .publish, "/mpub": .multiPublish, "/drain": .drain(.begin),
            "/drain/cancel": .drain(.cancel), "/handover": .handOver,
            "/topic/ttl": .setLifetime, "/channel/max-attempts": .setMaxAttempts,
            "/failed/retry": .failed(.retry), "/failed/discard": .failed(.discard),
        ]
        for action in Action.allCases {
            posts["/topic/\(action)"] = .topic(action)
            posts["/channel/\(action)"] = .channel(action)
        }
        for change in MessageChange.allCases {
            posts["/message/\(change.rawValue)"] = .changeMessage(change)
            posts["/channel/messages/\(change.rawValue)"] = .changeMessages(change)
        }
        posts["/channel/messages/cancel"] = .cancelMessageOperation
        let gets: [String: BrokerRoute] = [
            "/ping": .ping, "/info": .info, "/stats": .stats, "/metrics": .metrics,
            "/livez": .liveness, "/readyz": .readiness, "/healthz": .readiness,
            "/topic/messages": .messages(hasChannel: false),
            "/channel/messages": .messages(hasChannel: true),
            "/channel/messages/operations": .messageOperations,
            "/drain": .drain(.report), "/topic/ttl": .lifetimes,
            "/failed": .failed(.list),
        ]
        let options = HTTPRouter<BrokerRoute>.Parameter(
            after: "/config/", ["GET": { .getOption($0) }, "PUT": { .putOption($0) }])
        return HTTPRouter(["GET": gets, "POST": posts], options)
    }()
}
