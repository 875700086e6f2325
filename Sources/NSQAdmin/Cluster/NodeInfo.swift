import NSQWire
import TallyJSON
import UVLoop

/// The description of an nsqd, as reported by nsqlookupds or by the nsqd itself.
package struct NodeInfo: Sendable {
    /// A topic of the nsqd, and whether an nsqlookupd hides the nsqd from the topic's consumers.
    package struct Topic: Equatable, Sendable {
        package var name: String
        package var isTombstoned = false
    }

    /// One text for each nsqlookupd that lists the nsqd: the address of the nsqlookupd, a slash,
    /// and the address from which the nsqd is connected to it. `nil` if no nsqlookupd lists the
    /// nsqd.
    package var remoteAddresses: [String]?
    package var remoteAddress = ""
    package var hostname = ""
    package var broadcastAddress = ""
    package var tcpPort = 0
    package var httpPort = 0
    package var version = ""
    package var topologyZone = ""
    package var topologyRegion = ""
    /// The topics, sorted; `nil` if the source of the description lists none.
    package var topics: [Topic]?
    /// `true` if another node has a newer version.
    package var isOutOfDate = false

    /// The address of the HTTP API.
    package var httpAddress: String { Self.joined(broadcastAddress, httpPort) }
    /// The address of the TCP protocol.
    var tcpAddress: String { Self.joined(broadcastAddress, tcpPort) }

    private static func joined(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Reads one node in the response of an nsqlookupd, or the response of an nsqd to `/info`.
    init(_ json: JSONValue) {
        remoteAddress = json.text("remote_address")
        hostname = json.text("hostname")
        broadcastAddress = json.text("broadcast_address")
        tcpPort = json.count("tcp_port")
        httpPort = json.count("http_port")
        version = json.text("version")
        topologyZone = json.text("topology_zone")
        topologyRegion = json.text("topology_region")
        let tombstones = json.elements("tombstones") ?? []
        let names = (json.elements("topics") ?? []).map { String(json: $0) ?? "" }
        let topics = names.enumerated().filter { TopicName($0.element) != nil }.map {
            Topic(
                name: $0.element,
                isTombstoned: $0.offset < tombstones.count
                    && Bool(json: tombstones[$0.offset]) == true)
        }
        self.topics = topics.isEmpty ? nil : topics.sorted { $0.name < $1.name }
    }

    /// Adds an nsqlookupd and the address from which the node is connected to it.
    mutating func addRemoteAddress(_ text: String) {
        if remoteAddresses == nil { remoteAddresses = [] }
        remoteAddresses?.append(text)
    }

    /// `true` if the address of the HTTP API is valid.
    var hasUsableAddress: Bool {
        !broadcastAddress.isEmpty && UpstreamURL.isValidHost(broadcastAddress)
            && SocketAddress(host: "", validating: httpPort) != nil
    }
}

/// A version of nsqd that can be compared with others.
struct ProgramVersion: Comparable {
    private let numbers: [Int]
    private let isFinal: Bool

    /// Parses `1.3.0` or `1.3.1-alpha`. Any other text is the lowest version.
    init(_ text: String) {
        let release = text.prefix { $0 != "-" && $0 != "+" }
        let numbers = release.split(separator: ".", omittingEmptySubsequences: false)
            .map { Int($0) ?? -1 }
        let isValid = numbers.count == 3 && numbers.allSatisfy { $0 >= 0 }
        self.numbers = isValid ? numbers : [0, 0, 0]
        isFinal = !text.dropFirst(release.count).hasPrefix("-")
    }

    static func < (one: ProgramVersion, other: ProgramVersion) -> Bool {
        if one.numbers != other.numbers {
            return one.numbers.lexicographicallyPrecedes(other.numbers)
        }
        return !one.isFinal && other.isFinal
    }
}
