import TallyJSON

/// A consumer of a channel at one nsqd.
package struct ClientStatistics: Sendable {
    package var node = ""
    package var remoteAddress: String
    package var version: String
    package var clientID: String
    package var hostname: String
    package var userAgent: String
    /// The start of the connection, in seconds since 1970.
    package var connectedAt: Int
    package var inFlightCount: Int
    package var readyCount: Int
    package var finishCount: Int
    package var requeueCount: Int
    package var messageCount: Int
    package var sampleRate: Int
    package var usesDeflate: Bool
    package var usesSnappy: Bool
    package var isAuthorized: Bool
    package var identity: String
    package var identityURL: String
    var nodeTopologyRegion = ""
    var nodeTopologyZone = ""
    var topologyRegion: String
    var topologyZone: String
    package var tls: TLS

    /// The encryption of a connection.
    package struct TLS: Sendable {
        package var isUsed: Bool
        package var cipherSuite: String
        package var version: String
        package var protocolName: String
        package var isProtocolMutual: Bool
    }

    /// Reads one element of `clients` in the statistics of an nsqd.
    init(_ json: JSONValue) {
        remoteAddress = json.text("remote_address")
        version = json.text("version")
        clientID = json.text("client_id")
        hostname = json.text("hostname")
        userAgent = json.text("user_agent")
        connectedAt = json.count("connect_ts")
        inFlightCount = json.count("in_flight_count")
        readyCount = json.count("ready_count")
        finishCount = json.count("finish_count")
        requeueCount = json.count("requeue_count")
        messageCount = json.count("message_count")
        sampleRate = json.count("sample_rate")
        usesDeflate = json.flag("deflate")
        usesSnappy = json.flag("snappy")
        isAuthorized = json.flag("authed")
        identity = json.text("auth_identity")
        identityURL = json.text("auth_identity_url")
        topologyRegion = json.text("topology_region")
        topologyZone = json.text("topology_zone")
        tls = TLS(
            isUsed: json.flag("tls"), cipherSuite: json.text("tls_cipher_suite"),
            version: json.text("tls_version"),
            protocolName: json.text("tls_negotiated_protocol"),
            isProtocolMutual: json.flag("tls_negotiated_protocol_is_mutual"))
    }

    /// The time since the start of the connection, in nanoseconds.
    ///
    /// - Parameter now: seconds since 1970.
    package func connectedNanoseconds(at now: Int) -> Int {
        // The difference cannot overflow, because `connectedAt` was limited when it was read. The
        // multiplication can overflow.
        let (nanoseconds, overflows) = (now - connectedAt)
            .multipliedReportingOverflow(by: 1_000_000_000)
        return overflows ? (now < connectedAt ? .min : .max) : nanoseconds
    }
}
