import HTTP

/// What a request asks for: nsqd's paths, and two of our own.
enum HTTPRoute: Equatable {
    case ping
    case info
    case stats
    case publish
    case multiPublish
    case topic(Action)
    case channel(Action)
    case getOption(String)
    case putOption(String)
    // Beyond nsqd.
    case metrics
    case health

    /// What it does outlives the broker, where there is a data path.
    var isNoted: Bool {
        switch self {
        case .publish, .multiPublish, .topic, .channel: true
        default: false
        }
    }

    enum Action: String, CaseIterable {
        case create, delete, empty, pause, unpause
    }

    /// Where a request leads.
    enum Match: Equatable {
        case route(HTTPRoute)
        /// To the path as it should have been.
        case redirect(to: String)
        /// `OPTIONS`: what may be done with the path.
        case allowed([String])
        case notAllowed([String])
        case notFound
    }

    /// Finds the way as nsqd's router does: a path that is right but for slashes, dots and case
    /// leads to where it should, if the method does.
    static func match(method: String, path: String) -> Match {
        if method == "OPTIONS", path == "*" { return .allowed([]) }
        if let route = route(method, path) { return .route(route) }
        if path != "/", let right = rightPath(method, path) { return .redirect(to: right) }
        let methods = methods.filter { route($0, path) != nil }
        guard !methods.isEmpty else { return .notFound }
        let allowed = (methods + ["OPTIONS"]).sorted()
        return method == "OPTIONS" ? .allowed(allowed) : .notAllowed(allowed)
    }

    private static let methods = ["GET", "POST", "PUT"]

    private static let routes: [String: [String: HTTPRoute]] = {
        var posts: [String: HTTPRoute] = ["/pub": .publish, "/mpub": .multiPublish]
        for action in Action.allCases {
            posts["/topic/\(action)"] = .topic(action)
            posts["/channel/\(action)"] = .channel(action)
        }
        let gets: [String: HTTPRoute] = [
            "/ping": .ping, "/info": .info, "/stats": .stats, "/metrics": .metrics,
            "/healthz": .health,
        ]
        return ["GET": gets, "POST": posts, "PUT": [:]]
    }()

    private static let configPath = "/config/"

    private static func route(_ method: String, _ path: String) -> HTTPRoute? {
        if let route = routes[method]?[path] { return route }
        guard path.hasPrefix(configPath) else { return nil }
        let option = String(path.dropFirst(configPath.count))
        guard !option.isEmpty, !option.contains("/") else { return nil }
        switch method {
        case "GET": return .getOption(option)
        case "PUT": return .putOption(option)
        default: return nil
        }
    }

    private static func rightPath(_ method: String, _ path: String) -> String? {
        guard routes[method] != nil else { return nil }
        let clean = clean(path)
        let lower = clean.lowercased()
        if route(method, lower) == nil { return nil }
        // The name of an option is the client's, not a part of our path.
        return lower.hasPrefix(configPath)
            ? configPath + clean.dropFirst(configPath.count) : lower
    }

    /// The path without empty parts, dots and what they cancel, and no slash at the end.
    private static func clean(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }
}
