/// Selects the operation of a request by its method and its path, as the router of NSQ's programs
/// does.
package struct HTTPRouter<Route: Equatable & Sendable>: Sendable {
    private let routes: [String: [String: Route]]
    private let methods: [String]
    private let parameter: Parameter?
    /// The length of the longest path in `routes`, in bytes. A longer path from a client is not
    /// hashed.
    private let longestPath: Int

    /// The paths that consist of a fixed start and a parameter, such as `/config/` and a name.
    package struct Parameter: Sendable {
        /// The fixed start of the paths, with its final slash.
        let path: String
        /// The operation of each method for a parameter, which contains no slash.
        let routes: [String: @Sendable (String) -> Route]

        /// Describes the paths that start with `path`.
        package init(
            after path: String, _ routes: [String: @Sendable (String) -> Route]
        ) {
            self.path = path
            self.routes = routes
        }
    }

    /// The result of matching a request.
    package enum Match: Equatable, Sendable {
        /// The operation of the request.
        case route(Route)
        /// The client should repeat the request with this corrected path.
        case redirect(to: String)
        /// The methods of the path, for the response to `OPTIONS`.
        case allowed([String])
        /// The path has other methods, which are listed.
        case notAllowed([String])
        /// The path is unknown.
        case notFound
    }

    /// Creates a router.
    ///
    /// - Parameters:
    ///   - routes: the operations by method and path; each path is in lower case.
    ///   - parameter: paths that end with a parameter; none by default.
    package init(_ routes: [String: [String: Route]], _ parameter: Parameter? = nil) {
        self.routes = routes
        self.parameter = parameter
        methods = Set(routes.keys).union(parameter?.routes.keys.map { $0 } ?? []).sorted()
        longestPath = routes.values.flatMap(\.keys).map(\.utf8.count).max() ?? 0
    }

    /// Matches a request. If a route has the method of the request and its path differs only in
    /// slashes, dots and case, the request is redirected to the route.
    package func match(method: String, path: String) -> Match {
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

    private func route(_ method: String, _ path: String) -> Route? {
        if path.utf8.count <= longestPath, let route = routes[method]?[path] { return route }
        guard let parameter, path.utf8.starts(with: parameter.path.utf8) else { return nil }
        let value = path.utf8.dropFirst(parameter.path.utf8.count)
        guard !value.isEmpty, !value.contains(UInt8(ascii: "/")) else { return nil }
        return parameter.routes[method]?(String(Substring(value)))
    }

    private func correctedPath(_ method: String, _ path: String) -> String? {
        guard methods.contains(method) else { return nil }
        let clean = Self.clean(path)
        let lower = clean.lowercased()
        if route(method, lower) == nil { return nil }
        // The parameter keeps its case.
        guard let start = parameter?.path, lower.utf8.starts(with: start.utf8) else { return lower }
        return start + String(Substring(clean.utf8.dropFirst(start.utf8.count)))
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
