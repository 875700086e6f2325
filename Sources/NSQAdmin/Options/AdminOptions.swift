import NSQBroker
import TallyBasics
import Transport
import UVLoop

/// The options of an nsqadmin. The defaults are those of Go's nsqadmin.
package struct AdminOptions: Sendable {
    /// The address to listen on, as `host:port`.
    package var httpAddress = "0.0.0.0:4171"
    /// Names that the server accepts as `Host` on a loopback address, besides loopback names.
    package var httpHosts: [String] = []
    /// The path prefix of all pages and routes.
    package var basePath = "/"
    /// The HTTP addresses of the nsqlookupds, as `host:port`.
    package var lookupds: [String] = []
    /// The HTTP addresses of the nsqds, as `host:port`. Allowed only if there is no nsqlookupd.
    package var nsqds: [String] = []
    /// The users who may change topics, channels and nodes; empty if all users may.
    package var adminUsers: [String] = []
    /// Whether all changes are refused.
    package var isReadOnly = false
    /// The header in which a proxy sends the name of the user.
    package var userHeader = "X-Forwarded-User"
    /// The addresses that may use `/config`, in CIDR notation; empty for all.
    package var allowConfigFrom = "127.0.0.1/8"
    /// The URL to which each change is posted; empty for none.
    package var notificationEndpoint = ""
    package var graphite = GraphiteOptions()
    /// The options of requests to nsqds and nsqlookupds.
    package var requests = UpstreamOptions()
    package var log = LogOptions(prefix: "[nsqadmin] ")
    /// The maximum number of connections. 0 derives it from the limit of file descriptors.
    package var maxConnections = 0
    /// The version of NSQ that the server reports.
    package var version = "1.3.0"
    /// Flags that concern only the program, not the server.
    package var program = ProgramFlags()

    /// Flags that concern only the program, not the server.
    package struct ProgramFlags: Sendable {
        package var configFile = ""
        package var showsVersion = false
        // Go's nsqadmin has the flags below. They are accepted, and have no effect here.
        package var staticFolder = ""
        package var isVerbose = false
    }

    /// Creates options with the defaults. At least one address of a node or an nsqlookupd has to be
    /// added.
    package init() {}

    /// ``maxConnections``, or the number that is derived from the limit of file descriptors.
    package var connectionLimit: Int {
        maxConnections > 0 ? maxConnections : max(1, DescriptorLimit.forConnections / 2)
    }

    /// ``basePath`` with a slash at the start and none at the end; empty for the root.
    package var pathPrefix: String {
        let parts = basePath.split(separator: "/").filter { $0 != "." }
        return parts.map { "/\($0)" }.joined()
    }

    /// Checks the options.
    ///
    /// - Throws: ``AdminStartError`` for the first option that is invalid.
    package func validate() throws(AdminStartError) {
        guard !(nsqds.isEmpty && lookupds.isEmpty) else {
            throw AdminStartError("--nsqd-http-address or --lookupd-http-address required")
        }
        guard nsqds.isEmpty || lookupds.isEmpty else {
            throw AdminStartError(
                "use --nsqd-http-address or --lookupd-http-address not both")
        }
        try requests.validate()
        try Self.validate(lookupds, flag: "lookupd-http-address")
        try Self.validate(nsqds, flag: "nsqd-http-address")
        guard allowConfigFrom.isEmpty || AddressRange(allowConfigFrom) != nil else {
            throw AdminStartError(
                "failed to parse --allow-config-from-cidr (\(allowConfigFrom)) - "
                    + "invalid CIDR address: \(allowConfigFrom)")
        }
        try validateURLs()
        guard (0...1_000_000_000).contains(maxConnections) else {
            throw AdminStartError("--max-connections must be between 0 and 1000000000")
        }
    }

    private static func validate(
        _ addresses: [String], flag: String
    ) throws(AdminStartError) {
        for address in addresses {
            do throws(MalformedAddress) {
                _ = try SocketAddress(parsing: address)
            } catch {
                throw AdminStartError("failed to resolve --\(flag) (\(address)) - \(error)")
            }
        }
    }

    private func validateURLs() throws(AdminStartError) {
        let urls = [
            ("graphite-url", graphite.url), ("notification-http-endpoint", notificationEndpoint),
        ]
        for (flag, url) in urls where UpstreamURL.hasUserInfo(url) {
            // The error does not contain the URL, because a URL may contain a password.
            throw AdminStartError("--\(flag) must not contain a user name or a password")
        }
        for (flag, url) in urls where !url.isEmpty && UpstreamURL.parse(url) == nil {
            throw AdminStartError("failed to parse --\(flag) (\(url)) - not an HTTP URL")
        }
        guard graphite.interval >= .seconds(1) else {
            let text = GoText.duration(nanoseconds: graphite.interval.nanoseconds)
            throw AdminStartError("--statsd-interval must be at least 1s, not \(text)")
        }
        guard !graphite.isProxied || !graphite.url.isEmpty else {
            throw AdminStartError("--graphite-url must be specified with --proxy-graphite")
        }
    }
}

/// The address of a Graphite server, from which nsqadmin reads the statistics that nsqds send to
/// statsd, and the names of these statistics.
package struct GraphiteOptions: Sendable {
    /// The URL of Graphite; empty if there is none.
    package var url = ""
    /// Whether the server forwards `/render` to Graphite.
    package var isProxied = false
    /// The name of a counter, with `%s` for the statistic.
    package var counterFormat = "stats.counters.%s.count"
    /// The name of a gauge, with `%s` for the statistic.
    package var gaugeFormat = "stats.gauges.%s"
    /// The prefix of each name, with `%s` for the nsqd.
    package var prefix = "nsq.%s"
    /// The interval at which nsqds send statistics to statsd.
    package var interval = Duration.seconds(60)
}

/// The options of requests to nsqds and nsqlookupds.
package struct UpstreamOptions: Sendable {
    /// The maximum time until a connection is established.
    package var connectTimeout = Duration.seconds(2)
    /// The maximum time from the connection to the end of the response.
    package var requestTimeout = Duration.seconds(5)
    /// Whether certificates of servers are not verified.
    package var skipsVerification = false
    /// The path of the trusted certificate authorities; empty for those of the system.
    package var rootCAFile = ""
    /// The path of the certificate of the client; empty for none.
    package var certificateFile = ""
    /// The path of the private key of the client.
    package var keyFile = ""

    var tls: TLSClientOptions {
        var options = TLSClientOptions()
        if !rootCAFile.isEmpty { options.trust = .authorities(file: rootCAFile) }
        if skipsVerification { options.trust = .anyone }
        options.certificateFile = certificateFile.isEmpty ? nil : certificateFile
        options.keyFile = keyFile.isEmpty ? nil : keyFile
        return options
    }

    func validate() throws(AdminStartError) {
        let flags = ("--http-client-tls-cert", "--http-client-tls-key")
        if !certificateFile.isEmpty, keyFile.isEmpty {
            throw AdminStartError("\(flags.1) must be specified with \(flags.0)")
        }
        if !keyFile.isEmpty, certificateFile.isEmpty {
            throw AdminStartError("\(flags.0) must be specified with \(flags.1)")
        }
        for (name, duration) in [
            ("connect", connectTimeout), ("request", requestTimeout),
        ] where duration <= .zero {
            let text = GoText.duration(nanoseconds: duration.nanoseconds)
            throw AdminStartError("--http-client-\(name)-timeout must be positive, not \(text)")
        }
        guard !rootCAFile.isEmpty || !certificateFile.isEmpty else { return }
        do throws(TLSSetupError) {
            _ = try TLSContext(client: tls)
        } catch {
            throw AdminStartError("failed to load the TLS files of the HTTP client - \(error)")
        }
    }
}

/// The reason why an nsqadmin cannot start.
package struct AdminStartError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence; for most options, the text that nsqadmin logs.
    package let description: String

    /// Creates an error with a text for users.
    package init(_ description: String) { self.description = description }
}
