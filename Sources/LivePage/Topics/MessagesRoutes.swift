import HTTP
import NSQAdmin
import TallyJSON

/// The API with which the pages of topics read and change messages of a queue. Each request
/// concerns one nsqd, which must be a responding node of the cluster.
struct MessagesRoutes: Sendable {
    let api: AdminAPI
    let monitor: ClusterMonitor

    /// The query parameters that are passed on to the nsqd.
    private static let passed = [
        "topic", "channel", "id", "attempts", "after", "limit", "body_bytes", "format", "state",
        "contains", "min_attempts", "min_age_ms", "defer", "to", "preview", "operation",
    ]

    /// The kind of a request, and the path of the request to the nsqd.
    private enum Route {
        case read(path: String)
        case change(AdminAPI.MessageChange, path: String)
    }

    /// Returns an operation that sends the request to the nsqd and returns its response.
    ///
    /// - Parameter parts: the components of the path after `/api/live/`.
    /// - Returns: `nil` for paths that do not concern messages.
    func operation(
        for request: HTTPRequest, parts: [String]
    ) -> (@Sendable () async -> HTTPResponse)? {
        guard parts.first == "messages" else { return nil }
        return { await response(to: request, parts: Array(parts.dropFirst())) }
    }

    private func response(to request: HTTPRequest, parts: [String]) async -> HTTPResponse {
        guard let query = HTTPQuery(parsing: request.target.query) else {
            return .failure(400, "malformed query string")
        }
        guard let route = Self.route(request, parts, hasChannel: query["channel"] != nil) else {
            return .failure(404, "not found")
        }
        let nodes = monitor.snapshot.nodes.filter(\.hasResponded).map(\.info.httpAddress)
        guard let node = query["node"], nodes.contains(node) else {
            return .failure(400, "the node is not reachable")
        }
        let arguments = Self.passed.compactMap { name in query[name].map { (name: name, value: $0) }
        }
        do throws(AdminAPI.MessagesFailure) {
            switch route {
            case .read(let path):
                return .json(try await api.readMessages(at: node, path, arguments))
            case .change(let change, let path):
                let isBulk = parts.first == "all"
                guard api.isAdmin(request) else {
                    return .failure(403, "only admins may change messages")
                }
                return .json(
                    try await api.changeMessages(
                        change, of: (query["topic"] ?? "", query["channel"] ?? ""),
                        id: isBulk ? nil : query["id"], at: node, path, arguments,
                        isLogged: !isBulk || query["preview"] != "true", for: request))
            }
        } catch {
            return .failure(error.status, error.text)
        }
    }

    private static func route(
        _ request: HTTPRequest, _ parts: [String], hasChannel: Bool
    ) -> Route? {
        switch (request.method, parts.first, parts.count) {
        case ("GET", nil, 0):
            return .read(path: hasChannel ? "/channel/messages" : "/topic/messages")
        case ("GET", "operations"?, 1): return .read(path: "/channel/messages/operations")
        case ("POST", "all"?, 2):
            guard let change = AdminAPI.MessageChange(rawValue: parts[1]), change != .cancel else {
                return nil
            }
            return .change(change, path: "/channel/messages/\(change.rawValue)")
        case ("POST", let name?, 1):
            guard let change = AdminAPI.MessageChange(rawValue: name) else { return nil }
            return .change(
                change,
                path: change == .cancel ? "/channel/messages/cancel" : "/message/\(change.rawValue)"
            )
        default: return nil
        }
    }
}
