import HTTP

/// The operation that a request selects: one of nsqd's operations, or one of two additional ones.
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

    /// The result of matching a request.
    enum Match: Equatable {
        case route(HTTPRoute)
        /// The client should repeat the request with this corrected path.
        case redirect(to: String)
        /// The methods of the path, for the response to `OPTIONS`.
        case allowed([String])
        case notAllowed([String])
        case notFound
    }

    /// Matches a request as nsqd's router does. A path that differs from a route only in slashes,
    /// dots and case is redirected to the route, if the route has the method of the request.
    static func match(method: String, path: String) -> Match {
        if method == "OPTIONS", path == "*" { return .allowed([]) }
        if let route = route(method, path) { return .route(route) }
        if path != "/", let corrected = correctedPath(method, path) {
            return .redirect(to: corrected)
        }
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
    /// The maximum length of a path in `routes`, in bytes. A longer path from a client is not
    /// hashed.
    private static let longestPath = 32

    private static func route(_ method: String, _ path: String) -> HTTPRoute? {
        if path.utf8.count <= longestPath, let route = routes[method]?[path] { return route }
        guard path.utf8.starts(with: configPath.utf8) else { return nil }
        let option = path.utf8.dropFirst(configPath.utf8.count)
        guard !option.isEmpty, !option.contains(UInt8(ascii: "/")) else { return nil }
        switch method {
        case "GET": return .getOption(String(Substring(option)))
        case "PUT": return .putOption(String(Substring(option)))
        default: return nil
        }
    }

    private static func correctedPath(_ method: String, _ path: String) -> String? {
        guard routes[method] != nil else { return nil }
        let clean = clean(path)
        let lower = clean.lowercased()
        if route(method, lower) == nil { return nil }
        // The option's name keeps its case.
        return lower.utf8.starts(with: configPath.utf8)
            ? configPath + String(Substring(clean.utf8.dropFirst(configPath.utf8.count))) : lower
    }

    /// Returns the path without empty, `.` and `..` components, and without a trailing slash.
    private static func clean(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.utf8.split(separator: UInt8(ascii: "/")).map({ Substring($0) }) {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }
}
