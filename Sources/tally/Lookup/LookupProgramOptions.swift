import GoFlags
import NSQBroker
import NSQLookup

/// The options of `tally nsqlookupd`.
struct LookupProgramOptions: Sendable {
    var lookup = LookupServerOptions()
    var log = LogOptions(prefix: "[nsqlookupd] ")
    var configFile = ""
    var showsVersion = false
    /// A flag that nsqlookupd accepts and ignores.
    var verbose = false

    /// Every option, sorted by its flag.
    static let table: [FlagOption<LookupProgramOptions>] = [
        FlagOption(
            "broadcast-address", \.lookup.broadcastAddress,
            "address of this nsqlookupd for nsqds; the host name by default"),
        FlagOption(
            "config", \.configFile, "path of a TOML configuration file; flags override it",
            key: .commandLineOnly),
        FlagOption(
            "data-path", \.lookup.dataPath,
            """
            folder for topics, channels and tombstones, which then survive a restart; the folder must \
            exist
            """,
            isOwn: true),
        FlagOption(
            "http-address", \.lookup.httpAddress, "host:port to listen on for HTTP clients"),
        FlagOption(
            "http-host", \.lookup.httpHosts,
            """
            name that the HTTP API accepts as Host on a loopback address, besides loopback names \
            and --broadcast-address; repeatable
            """,
            key: .named("http_hosts"), isOwn: true),
        FlagOption(
            "inactive-producer-timeout", \.lookup.limits.inactiveProducerTimeout,
            "time since its last ping for which an nsqd is listed"),
        .logFormat(\.log.format),
        FlagOption(
            "log-level", \.log.level, "lowest level to log: debug, info, warn, error or fatal"),
        FlagOption("log-prefix", \.log.prefix, "prefix of each log line"),
        FlagOption(
            "max-connections", \.lookup.maxConnections,
            """
            maximum number of TCP connections, and of HTTP connections; 0 derives both from the \
            limit of file descriptors
            """,
            isOwn: true),
        FlagOption(
            "max-registrations", \.lookup.limits.maxEntries,
            "maximum number of topics and channels, and of the nsqds of each of them",
            isOwn: true),
        FlagOption("tcp-address", \.lookup.tcpAddress, "host:port to listen on for nsqds"),
        FlagOption(
            "tombstone-lifetime", \.lookup.limits.tombstoneLifetime,
            "time for which a tombstoned nsqd is not listed for the topic"),
        FlagOption("verbose", \.verbose, "ignored; use --log-level", key: .commandLineOnly),
        FlagOption("version", \.showsVersion, "print the version and exit", key: .commandLineOnly),
    ]
}
