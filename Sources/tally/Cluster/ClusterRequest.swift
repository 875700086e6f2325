import HTTP

/// An operation on a local cluster, from an HTTP request or from a line that the user has typed.
enum ClusterRequest: Equatable {
    case list
    case change(LocalCluster.Action, String)

    /// The reason why an HTTP request is refused, with the status of the response.
    struct Refusal: Error, Equatable {
        let status: Int
        let reason: String
    }

    /// Parses an HTTP request: `GET /nodes`, or `POST /nodes/NAME/ACTION`.
    init(method: String, path: String) throws(Refusal) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard parts.first == "nodes" else { throw Self.notFound }
        switch parts.count {
        case 1:
            guard method == "GET" else { throw Refusal(status: 405, reason: "use GET") }
            self = .list
        case 3:
            guard let action = LocalCluster.Action(rawValue: parts[2]) else { throw Self.notFound }
            guard method == "POST" else { throw Refusal(status: 405, reason: "use POST") }
            self = .change(action, parts[1])
        default: throw Self.notFound
        }
    }

    private static let notFound = Refusal(
        status: 404, reason: "not found; see GET /nodes and POST /nodes/NAME/stop")

    /// The path of the request in the HTTP API.
    var path: String {
        switch self {
        case .list: "/nodes"
        case .change(let action, let name):
            "/nodes/\(PercentCoding.encode(name))/\(action.rawValue)"
        }
    }
}

/// A line that the user has typed while the cluster runs.
enum ClusterLine: Equatable {
    case request(ClusterRequest)
    case quit
    case help
    case empty
    /// Any other line.
    case unknown(String)

    static let helpText = """
        stop NODE, start NODE, restart NODE   change one node, such as nsqd-2
        list                                  print the nodes
        quit                                  stop everything
        """

    /// Parses a line.
    init(_ line: String) {
        let words = line.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        switch (words.first, words.count) {
        case (nil, _): self = .empty
        case ("list", 1), ("l", 1): self = .request(.list)
        case ("quit", 1), ("q", 1), ("exit", 1): self = .quit
        case ("help", 1), ("?", 1): self = .help
        case (let word?, 2):
            guard let action = LocalCluster.Action(rawValue: word) else {
                self = .unknown(line)
                return
            }
            self = .request(.change(action, words[1]))
        default: self = .unknown(line)
        }
    }
}
