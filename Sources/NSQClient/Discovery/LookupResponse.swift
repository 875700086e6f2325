import NSQWire
import TallyJSON
import UVLoop

/// The nsqds in a response of nsqlookupd to `GET /lookup?topic=…` or `GET /nodes`.
///
/// For a topic, nsqlookupd omits nsqds that have sent no `PING` for a while, and nsqds with a tombstone
/// for the topic.
///
/// - SeeAlso: NSQ, “nsqlookupd”, `/lookup`.
struct LookupResponse: Equatable {
    /// The TCP addresses of the nsqds that have the topic, without duplicates.
    var nsqds: Set<SocketAddress> = []

    /// The maximum size of a response in bytes.
    static let maxBytes = 16 << 20

    /// The maximum number of nsqds of one response; further ones are ignored.
    static let maxCount = 1_000

    /// Parses the body of a response with status 200. Producers without a valid address are skipped.
    ///
    /// - Returns: `nil` if the body is not an object with a list of producers. nsqlookupd before
    ///   version 1.0 wraps that object in a member `data`.
    init?(parsing body: [UInt8]) {
        guard let json = try? JSONValue(parsingLikeGo: body, keptDepth: 4) else { return nil }
        guard case .array(let producers) = json["producers"] ?? json["data"]?["producers"] else {
            return nil
        }
        for producer in producers.prefix(Self.maxCount) {
            guard let host = producer["broadcast_address"].flatMap({ String(json: $0) }),
                let port = producer["tcp_port"].flatMap({ Int(json: $0) }), !host.isEmpty,
                let address = SocketAddress(host: host, validating: port)
            else { continue }
            nsqds.insert(address)
        }
    }

    /// Creates a response with these addresses.
    init(_ nsqds: Set<SocketAddress> = []) {
        self.nsqds = nsqds
    }
}
