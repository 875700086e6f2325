import NSQWire
import TallyBasics
import TallyJSON

/// A number that identifies one connection of an nsqd for as long as nsqlookupd runs.
package struct PeerID: Hashable, Comparable, Sendable {
    /// Later connections have higher numbers.
    package let number: Int

    /// Creates an ID.
    package init(_ number: Int) { self.number = number }

    package static func < (one: PeerID, other: PeerID) -> Bool { one.number < other.number }
}

/// The description of an nsqd, which the nsqd sends with IDENTIFY.
package struct PeerInfo: Equatable, Sendable {
    /// The address of the nsqd's connection, as `host:port`.
    package var remoteAddress = ""
    package var hostname = ""
    /// The host that clients connect to.
    package var broadcastAddress = ""
    package var tcpPort = 0
    package var httpPort = 0
    /// The version of the nsqd.
    package var version = ""

    /// Creates a value with empty fields.
    package init() {}

    /// The name of the nsqd in `/topic/tombstone`, as `host:port`.
    var node: String { "\(broadcastAddress):\(httpPort)" }

    /// `true` if no required field is missing.
    var isComplete: Bool {
        !broadcastAddress.isEmpty && tcpPort != 0 && httpPort != 0 && !version.isEmpty
    }

    /// Writes the members of the nsqd's JSON object, in the order of nsqlookupd.
    func writeMembers(to json: inout JSONWriter) {
        json.member("remote_address", remoteAddress)
        json.member("hostname", hostname)
        json.member("broadcast_address", broadcastAddress)
        json.member("tcp_port", tcpPort)
        json.member("http_port", httpPort)
        json.member("version", version)
    }
}

extension PeerInfo {
    private enum Field: String {
        case remoteAddress = "remote_address"
        case hostname
        case broadcastAddress = "broadcast_address"
        case tcpPort = "tcp_port"
        case httpPort = "http_port"
        case version
    }

    /// Parses the body of IDENTIFY with the leniency of Go.
    ///
    /// - Parameter remoteAddress: the address of the connection, which replaces one in the body.
    /// - Throws: `JSONError` if the body is not a JSON object, or a field has a wrong type.
    init(parsing body: some Sequence<UInt8>, remoteAddress: String) throws(JSONError) {
        for member in try JSONValue.flatObject(parsingLikeGo: body) ?? [] {
            switch Field(jsonName: member.name) {
            case .remoteAddress: try member.value.read(into: &self.remoteAddress)
            case .hostname: try member.value.read(into: &hostname)
            case .broadcastAddress: try member.value.read(into: &broadcastAddress)
            case .tcpPort: try member.value.read(into: &tcpPort)
            case .httpPort: try member.value.read(into: &httpPort)
            case .version: try member.value.read(into: &version)
            case nil: break
            }
        }
        self.remoteAddress = remoteAddress
    }
}

/// A connected nsqd that has identified itself.
struct Peer {
    let info: PeerInfo
    /// The time of the last PING; before the first PING, the time of IDENTIFY.
    var lastUpdate: Timestamp
    /// The topics for which the nsqd is registered. ``channels`` has its channels.
    var topics: Set<TopicName> = []
    var channels: [TopicName: Set<ChannelName>] = [:]

    /// Returns `true` if the last PING is not older than `timeout`.
    func isActive(at now: Timestamp, timeout: Duration) -> Bool {
        now.monotonic.subtractingSaturated(lastUpdate.monotonic) <= timeout.nanoseconds
    }
}
