import HTTP

/// A route of nsqadmin's HTTP API.
package enum AdminRoute: Equatable, Sendable {
    case ping
    case topics
    case topic(String)
    case channel(topic: String, channel: String)
    case nodes
    case node(String)
    case create
    case changeTopic(String)
    case changeChannel(topic: String, channel: String)
    case deleteTopic(String)
    case deleteChannel(topic: String, channel: String)
    case tombstone(node: String)
    case counter
    case graphite
    /// The route that is forwarded to Graphite, if the options allow it.
    case render
    case option(String)
    case setOption(String)

    /// `true` if the route changes topics, channels or nodes, and therefore needs an admin.
    var isChange: Bool {
        switch self {
        case .create, .changeTopic, .changeChannel, .deleteTopic, .deleteChannel, .tombstone: true
        default: false
        }
    }

    private static let fixed = HTTPRouter<AdminRoute>([
        "GET": [
            "/ping": .ping, "/livez": .ping, "/readyz": .ping, "/healthz": .ping,
            "/api/topics": .topics, "/api/nodes": .nodes, "/api/counter": .counter,
            "/api/graphite": .graphite, "/render": .render,
        ],
        "POST": ["/api/topics": .create],
    ])

    private static let methods = ["DELETE", "GET", "POST", "PUT"]

    /// Matches a request.
    ///
    /// - Parameter path: the path without the base path.
    package static func match(method: String, path: String) -> HTTPRouter<AdminRoute>.Match {
        if let route = route(method, path) { return .route(route) }
        if path != "/", path.hasSuffix("/") {
            let trimmed = String(path.dropLast())
            if let route = route(method, trimmed), route != .ping { return .redirect(to: trimmed) }
        }
        let allowed = methods.filter { route($0, path) != nil }
        guard !allowed.isEmpty else { return fixed.match(method: method, path: path) }
        if fixed.match(method: method, path: path) != .notFound {
            return fixed.match(method: method, path: path)
        }
        let methods = (allowed + ["OPTIONS"]).sorted()
        return method == "OPTIONS" ? .allowed(methods) : .notAllowed(methods)
    }

    private static func route(_ method: String, _ path: String) -> AdminRoute? {
        if case .route(let route) = fixed.match(method: method, path: path) { return route }
        // The limit is higher than the number of components of any route. It bounds the work for a
        // long path.
        let parts = path.split(separator: "/", maxSplits: 5, omittingEmptySubsequences: false)
            .map(String.init)
        guard parts.first == "", !parts.dropFirst().contains("") else { return nil }
        switch (method, parts.count, parts[1]) {
        case ("GET", 3, "config"): return .option(parts[2])
        case ("PUT", 3, "config"): return .setOption(parts[2])
        case (_, 4, "api"): return route(method, parts[2], parts[3])
        case (_, 5, "api") where parts[2] == "topics":
            return channelRoute(method, topic: parts[3], channel: parts[4])
        default: return nil
        }
    }

    private static func route(_ method: String, _ kind: String, _ name: String) -> AdminRoute? {
        switch (method, kind) {
        case ("GET", "topics"): .topic(name)
        case ("POST", "topics"): .changeTopic(name)
        case ("DELETE", "topics"): .deleteTopic(name)
        case ("GET", "nodes"): .node(name)
        case ("DELETE", "nodes"): .tombstone(node: name)
        default: nil
        }
    }

    private static func channelRoute(
        _ method: String, topic: String, channel: String
    ) -> AdminRoute? {
        switch method {
        case "GET": .channel(topic: topic, channel: channel)
        case "POST": .changeChannel(topic: topic, channel: channel)
        case "DELETE": .deleteChannel(topic: topic, channel: channel)
        default: nil
        }
    }
}
