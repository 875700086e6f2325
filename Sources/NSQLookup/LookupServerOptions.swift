import TallyBasics
import UVLoop

/// The options of an nsqlookupd. The defaults are those of Go's nsqlookupd.
package struct LookupServerOptions: Sendable {
    /// The address for nsqds, as `host:port`.
    package var tcpAddress = "0.0.0.0:4160"
    /// The address of the HTTP API, as `host:port`.
    package var httpAddress = "0.0.0.0:4161"
    /// The name under which nsqds and clients reach this nsqlookupd.
    package var broadcastAddress = System.hostname
    /// Names that the HTTP API accepts as `Host` on a loopback address, besides loopback names and
    /// ``broadcastAddress``.
    package var httpHosts: [String] = []
    /// The timeout of inactive nsqds, the lifetime of tombstones, and the size of the table.
    package var limits = RegistrationTable.Limits()
    /// The maximum number of TCP connections, and likewise of HTTP connections. 0 derives both from
    /// the limit of file descriptors.
    package var maxConnections = 0
    /// The folder for the state on disk, which must exist. If this text is empty, a restart loses
    /// the state.
    package var dataPath = ""
    /// The version of NSQ that the server reports.
    package var version = "1.3.0"

    /// Creates options with the defaults.
    package init() {}

    /// The maximum number of TCP connections, and likewise of HTTP connections, computed if
    /// ``maxConnections`` is 0.
    var connectionLimit: Int {
        maxConnections > 0 ? maxConnections : max(1, DescriptorLimit.forConnections / 2)
    }

    /// The maximum time from the connection of a client to its IDENTIFY.
    static let identificationTimeout = Duration.seconds(60)

    /// The connection of an nsqd is closed if no byte arrives for this time. nsqd sends PING every
    /// 15 seconds. Without this timeout, an nsqd that the network has cut off would occupy its
    /// connection forever, as in Go's nsqlookupd.
    var silenceTimeout: Duration {
        max(.seconds(60), min(limits.inactiveProducerTimeout, .seconds(86_400)) * 2)
    }

    /// Checks the options.
    ///
    /// - Throws: ``LookupStartError`` for the first option that is out of its range.
    package func validate() throws(LookupStartError) {
        for (name, duration) in [
            ("inactive-producer-timeout", limits.inactiveProducerTimeout),
            ("tombstone-lifetime", limits.tombstoneLifetime),
        ] where duration < .zero {
            let text = GoText.duration(nanoseconds: duration.nanoseconds)
            throw LookupStartError("--\(name) must be at least 0, not \(text)")
        }
        guard (0...1_000_000_000).contains(maxConnections) else {
            throw LookupStartError("--max-connections must be between 0 and 1000000000")
        }
        guard (1...1_000_000_000).contains(limits.maxEntries) else {
            throw LookupStartError("--max-registrations must be between 1 and 1000000000")
        }
    }
}

/// The reason why an nsqlookupd cannot start.
package struct LookupStartError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence; for an address that cannot be used, the text that Go's nsqlookupd logs.
    package let description: String
    /// `true` if another server listens at the address.
    package let isAddressInUse: Bool

    init(_ description: String, isAddressInUse: Bool = false) {
        self.description = description
        self.isAddressInUse = isAddressInUse
    }

    init(listeningAt address: String, _ error: UVError) {
        // nsqlookupd writes `bind:` only for an error of the bind, not for an error of the name
        // resolution before it.
        let cause = error.name.hasPrefix("EAI_") ? error.message : "bind: \(error.message)"
        self.init(
            "listen (\(address)) failed - \(cause)", isAddressInUse: error == .addressInUse)
    }
}
