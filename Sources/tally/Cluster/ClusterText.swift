import TallyJSON

/// The nodes of a local cluster as text and as JSON.
enum ClusterText {
    /// A table with one line for each node.
    static func table(_ nodes: [ClusterNode.Description]) -> String {
        let rows =
            [["NODE", "STATE", "TCP ADDRESS", "HTTP ADDRESS"]]
            + nodes.map { [$0.name, $0.state.rawValue, $0.tcpAddress, $0.httpAddress] }
        return TextTable.lines(rows).joined(separator: "\n")
    }

    /// An object with the member `nodes`.
    ///
    /// - Parameter adminURL: the value of the member `admin_url`; `nil` omits the member.
    static func json(_ nodes: [ClusterNode.Description], adminURL: String? = nil) -> [UInt8] {
        JSONWriter.object { json in
            json.name("nodes")
            json.array(nodes) { json, node in
                json.object { json in
                    json.member("name", node.name)
                    json.member("kind", node.kind.rawValue)
                    json.member("state", node.state.rawValue)
                    json.member("tcp_address", node.tcpAddress)
                    json.member("http_address", node.httpAddress)
                }
            }
            if let adminURL { json.member("admin_url", adminURL) }
        }
    }

    /// Parses the JSON of ``json(_:)``.
    static func nodes(in body: [UInt8]) -> [ClusterNode.Description]? {
        guard let json = try? JSONValue(parsingStrictly: body, maxDepth: 4),
            case .array(let values)? = json["nodes"]
        else { return nil }
        return values.compactMap { node in
            guard let name = node["name"].flatMap({ String(json: $0) }),
                let kind = node["kind"].flatMap({ String(json: $0) }).flatMap({
                    ClusterNode.Kind(rawValue: $0)
                }),
                let state = node["state"].flatMap({ String(json: $0) }).flatMap({
                    ClusterNode.State(rawValue: $0)
                }),
                let tcp = node["tcp_address"].flatMap({ String(json: $0) }),
                let http = node["http_address"].flatMap({ String(json: $0) })
            else { return nil }
            return ClusterNode.Description(
                name: name, kind: kind, state: state, tcpAddress: tcp, httpAddress: http)
        }
    }
}
