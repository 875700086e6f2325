import GoFlags
import NSQBroker
import TallyJSON
import UVLoop

/// The table of nsqadmin's options: the name of each as a flag, as a key of the configuration file,
/// and in `/config`.
package enum AdminOption {
    /// Every option, sorted by its flag.
    package static let table: [FlagOption<AdminOptions>] = [
        FlagOption(
            "acl-http-header", \.userHeader,
            "header in which a proxy sends the name of the user; see --admin-user"),
        FlagOption(
            "admin-user", \.adminUsers,
            "user who may change something; without one, everybody may; repeatable",
            key: .named("admin_users")),
        FlagOption(
            "allow-config-from-cidr", \.allowConfigFrom,
            "addresses that may use /config, in CIDR notation; empty for all"),
        FlagOption("base-path", \.basePath, "path below which all pages and routes are"),
        FlagOption(
            "config", \.program.configFile,
            "path of a TOML configuration file; flags override it", key: .commandLineOnly),
        FlagOption("dev-static-dir", \.program.staticFolder, "ignored"),
        FlagOption("graphite-url", \.graphite.url, "URL of Graphite"),
        FlagOption("http-address", \.httpAddress, "host:port to listen on"),
        FlagOption(
            "http-client-connect-timeout", \.requests.connectTimeout,
            "connect timeout of requests to nsqd and nsqlookupd"),
        FlagOption(
            "http-client-request-timeout", \.requests.requestTimeout,
            "timeout of requests to nsqd and nsqlookupd"),
        FlagOption(
            "http-client-tls-cert", \.requests.certificateFile,
            "path of the client's certificate for requests over TLS"),
        FlagOption(
            "http-client-tls-insecure-skip-verify", \.requests.skipsVerification,
            "do not verify certificates of servers"),
        FlagOption(
            "http-client-tls-key", \.requests.keyFile,
            "path of the client's private key for requests over TLS"),
        FlagOption(
            "http-client-tls-root-ca-file", \.requests.rootCAFile,
            "path of the trusted certificate authorities"),
        FlagOption(
            "http-host", \.httpHosts,
            """
            name that the server accepts as Host on a loopback address, besides loopback names; \
            repeatable
            """,
            key: .named("http_hosts"), isOwn: true),
        .logFormat(\.log.format),
        FlagOption(
            "log-level", \.log.level, "lowest level to log: debug, info, warn, error or fatal"),
        FlagOption("log-prefix", \.log.prefix, "prefix of each log line"),
        FlagOption(
            "lookupd-http-address", \.lookupds, "HTTP address of an nsqlookupd; repeatable",
            key: .named("nsqlookupd_http_addresses")),
        FlagOption(
            "max-connections", \.maxConnections,
            "maximum number of connections; 0 derives it from the limit of file descriptors",
            isOwn: true),
        FlagOption(
            "notification-http-endpoint", \.notificationEndpoint,
            "URL to which each change is posted as JSON"),
        FlagOption(
            "nsqd-http-address", \.nsqds, "HTTP address of an nsqd; repeatable",
            key: .named("nsqd_http_addresses")),
        FlagOption("proxy-graphite", \.graphite.isProxied, "forward /render to Graphite"),
        FlagOption(
            "statsd-counter-format", \.graphite.counterFormat,
            "name of a counter in Graphite, with %s for the statistic"),
        FlagOption(
            "statsd-gauge-format", \.graphite.gaugeFormat,
            "name of a gauge in Graphite, with %s for the statistic"),
        FlagOption(
            "statsd-interval", \.graphite.interval,
            "interval in which nsqds send to statsd"),
        FlagOption(
            "statsd-prefix", \.graphite.prefix,
            "prefix of the statistics of nsqds, with %s for the nsqd"),
        FlagOption(
            "verbose", \.program.isVerbose, "ignored; use --log-level", key: .commandLineOnly),
        FlagOption(
            "version", \.program.showsVersion, "print the version and exit",
            key: .commandLineOnly),
    ]

    /// Returns the option with this key in the configuration file.
    static func named(key: String) -> FlagOption<AdminOptions>? {
        table.first { $0.key == key }
    }

    /// Reads a list of addresses.
    ///
    /// - Returns: `nil` if the text is not a JSON array of addresses; an empty list for `null`.
    static func addresses(in body: [UInt8]) -> [String]? {
        guard let json = try? JSONValue(parsingLikeGo: body, keptDepth: 1) else { return nil }
        if json == .null { return [] }
        guard let addresses = [String](json: json) else { return nil }
        return addresses.allSatisfy { (try? SocketAddress(parsing: $0)) != nil } ? addresses : nil
    }

    static func logLevel(_ text: String) -> LogLevel? { LogLevel(text: text) }
}
