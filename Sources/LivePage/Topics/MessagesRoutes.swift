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
                guard api.isAdmin(request) else {
                    return .failure(403, "only admins may change messages")
                }
                let id = parts.first == "all" ? nil : query["id"]
                // A change of many failed messages is a series of requests, of which only the first
                // has no `after`.
                let isLogged = id != nil || (query["preview"] != "true" && query["after"] == nil)
                return .json(
                    try await api.changeMessages(
                        change, of: (query["topic"] ?? "", query["channel"] ?? ""),
                        id: id, at: node, path, arguments, isLogged: isLogged, for: request))
            }
        } catch {
            return .failure(error.status, error.text)
        }
    }

    /// The changes of messages that wait in a channel, of one or of all.
    private static let queueChanges: [AdminAPI.MessageChange] = [.delete, .requeue, .defer, .move]

    /// Returns the route of the change with this name, if it is one of `changes`.
    private static func change(
        named name: String, _ folder: String, _ changes: [AdminAPI.MessageChange]
    ) -> Route? {
        guard let change = AdminAPI.MessageChange(rawValue: name), changes.contains(change) else {
            return nil
        }
        return .change(change, path: folder + name)
    }

    private static func route(
        _ request: HTTPRequest, _ parts: [String], hasChannel: Bool
    ) -> Route? {
        switch (request.method, parts.first, parts.count) {
        case ("GET", nil, 0):
            return .read(path: hasChannel ? "/channel/messages" : "/topic/messages")
        case ("GET", "operations"?, 1): return .read(path: "/channel/messages/operations")
        case ("GET", "failed"?, 1): return .read(path: "/failed")
        case ("POST", "all"?, 2): return change(named: parts[1], "/channel/messages/", queueChanges)
        case ("POST", "failed"?, 2): return change(named: parts[1], "/failed/", [.retry, .discard])
        case ("POST", "cancel"?, 1): return .change(.cancel, path: "/channel/messages/cancel")
        case ("POST", let name?, 1): return change(named: name, "/message/", queueChanges)
        default: return nil
        }
    }
}
