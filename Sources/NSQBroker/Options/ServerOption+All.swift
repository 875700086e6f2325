import BrokerCore
import GoFlags
import Transport

/// An option of a broker. The command line, the configuration file, the help and `/config/…` are all
/// derived from the table ``all``.
package typealias ServerOption = FlagOption<ServerOptions>

extension ServerOption {
    /// Every option, sorted by its flag.
    package static var all: [ServerOption] { ServerOptionTable.all }

    /// Returns the option with this key in the configuration file.
    static func named(key: String) -> ServerOption? { all.first { $0.key == key } }
}

/// The options of a broker. To add one, add a line to a group below and a property to
/// `ServerOptions`.
private enum ServerOptionTable {
    static let all: [ServerOption] =
        (process + addresses + messages + clients + tls + disk + services + topology + latency + own)
        .sorted { $0.flag < $1.flag }

    // MARK: Process

    private static let process: [ServerOption] = [
        ServerOption(
            "config", \.process.configFile, "path of a TOML configuration file; flags override it",
            key: .commandLineOnly),
        ServerOption(
            "log-level", \.log.level, "lowest level to log: debug, info, warn, error or fatal"),
        ServerOption("log-prefix", \.log.prefix, "prefix of each log line"),
        ServerOption("node-id", \.nodeID, "number of this nsqd, 0 to 1023", key: .named("id")),
        ServerOption(
            "verbose", \.process.verbose, "ignored; use --log-level", key: .commandLineOnly),
        ServerOption(
            "version", \.process.showsVersion, "print the version and exit", key: .commandLineOnly),
        ServerOption(
            "worker-id", \.process.workerID, "ignored; use --node-id", key: .commandLineOnly),
    ]

    // MARK: Addresses

    private static let addresses: [ServerOption] = [
        ServerOption(
            "tcp-address", \.addresses.tcp,
            """
            address to listen on for TCP clients: host:port or the path of a Unix-domain socket; \
            port 0 selects a free port
            """),
        ServerOption(
            "http-address", \.addresses.http,
            """
            address of the HTTP API: host:port or the path of a Unix-domain socket; empty to \
            disable HTTP
            """),
        ServerOption(
            "https-address", \.addresses.https,
            "address of the HTTP API over TLS; requires --tls-cert and --tls-key"),
        ServerOption(
            "broadcast-address", \.addresses.broadcast,
            "address registered with nsqlookupd; the host name by default"),
        ServerOption(
            "broadcast-tcp-port", \.addresses.broadcastTCPPort,
            "TCP port registered with nsqlookupd; 0 selects the port of --tcp-address"),
        ServerOption(
            "broadcast-http-port", \.addresses.broadcastHTTPPort,
            "HTTP port registered with nsqlookupd; 0 selects the port of --http-address"),
    ]

    // MARK: Messages and commands

    private static let messages: [ServerOption] = [
        ServerOption(
            "max-body-size", \.core.maxBodyBytes,
            "maximum size of an MPUB body in bytes; IDENTIFY and AUTH bodies have at most 64 KiB"),
        ServerOption("max-msg-size", \.core.maxMessageBytes, "maximum size of a message in bytes"),
        ServerOption(
            "max-msg-timeout", \.core.maxMessageTimeout,
            "maximum message timeout that a client can request, including TOUCH"),
        ServerOption(
            "max-req-timeout", \.core.maxRequeueTimeout, "maximum delay of REQ and DPUB"),
        ServerOption(
            "mem-queue-size", \.core.memoryQueueSize,
            "messages that a topic keeps in memory if there is a data path, besides those that are "
                + "delivered next; ephemeral topics and channels discard messages above it"),
        ServerOption(
            "msg-timeout", \.core.messageTimeout,
            "time after which an unfinished message is requeued"),
        ServerOption(
            "queue-scan-selection-count", \.scan.selectionCount,
            "ignored: there is no periodic queue scan"),
        ServerOption(
            "queue-scan-worker-pool-max", \.scan.workerPoolMax,
            "ignored: there is no periodic queue scan"),
    ]

    // MARK: Limits of client settings

    private static let clients: [ServerOption] = [
        ServerOption(
            "deflate", \.core.deflateEnabled, "allow clients to enable deflate compression"),
        ServerOption(
            "max-channel-consumers", \.core.maxChannelConsumers,
            "maximum number of consumers per channel; 0 for no limit"),
        ServerOption(
            "max-deflate-level", \.core.maxDeflateLevel, "maximum deflate level, 1 to 9"),
        ServerOption(
            "max-heartbeat-interval", \.core.maxHeartbeatInterval,
            "maximum heartbeat interval that a client can request"),
        ServerOption(
            "max-output-buffer-size", \.core.maxOutputBufferBytes,
            "maximum output buffer size that a client can request, in bytes"),
        ServerOption(
            "max-output-buffer-timeout", \.core.maxOutputBufferTimeout,
            "maximum output buffer timeout that a client can request"),
        ServerOption("max-rdy-count", \.core.maxReadyCount, "maximum RDY count"),
        ServerOption(
            "min-output-buffer-timeout", \.core.minOutputBufferTimeout,
            "minimum output buffer timeout that a client can request"),
        ServerOption(
            "output-buffer-timeout", \.core.outputBufferTimeout,
            "output buffer timeout reported to clients; output buffering never delays a message"
        ),
        ServerOption("snappy", \.core.snappyEnabled, "allow clients to enable snappy compression"),
    ]

    // MARK: TLS

    private static let tls: [ServerOption] = [
        ServerOption(
            "tls-cert", \.tls.certificateFile, "PEM file with the server certificate; enables TLS"),
        ServerOption(
            "tls-client-auth-policy", \.tls.clientAuthPolicy,
            """
            client certificate policy: require (any certificate) or require-verify (one signed by \
            --tls-root-ca-file)
            """),
        ServerOption("tls-key", \.tls.keyFile, "PEM file with the private key of the certificate"),
        ServerOption(
            "tls-min-version", \.tls.minVersion,
            """
            minimum TLS version: tls1.0, tls1.1, tls1.2 or tls1.3; the system's OpenSSL may \
            require a higher one
            """),
        ServerOption(
            "tls-required", \.tls.requirement,
            "require TLS: true, false, or tcp-https to allow plain HTTP"),
        ServerOption(
            "tls-root-ca-file", \.tls.rootCAFile,
            "PEM file with the certificate authorities of client certificates"),
    ]

    // MARK: Durability

    private static let disk: [ServerOption] = [
        ServerOption(
            "data-path", \.disk.dataPath,
            """
            folder for topics, channels and messages; the current folder by default, and memory \
            only in tally serve and tally bench
            """
        ),
        ServerOption(
            "max-bytes-per-file", \.disk.journal.maxBytesPerFile,
            "maximum size of a message file in bytes"),
        ServerOption(
            "sync-every", \.disk.journal.syncEvery, "number of messages between two fsync calls"
        ),
        ServerOption("sync-timeout", \.disk.syncTimeout, "maximum time between two fsync calls"),
    ]

    // MARK: Services

    private static let services: [ServerOption] = [
        ServerOption(
            "auth-http-address", \.auth.httpAddresses,
            "host:port or URL of an authorization server; repeatable",
            key: .named("auth_http_addresses")),
        ServerOption(
            "http-client-connect-timeout", \.httpClient.connectTimeout,
            "connect timeout of the broker's own HTTP requests"),
        ServerOption(
            "http-client-request-timeout", \.httpClient.requestTimeout,
            "timeout of the broker's own HTTP requests"),
        ServerOption(
            "lookupd-tcp-address", \.lookup.tcpAddresses,
            "host:port of an nsqlookupd to register with; repeatable",
            key: .named("nsqlookupd_tcp_addresses")),
        ServerOption(
            "statsd-address", \.statsd.address, "host:port of statsd, for reports of statistics"),
        ServerOption(
            "statsd-exclude-ephemeral", \.statsd.excludesEphemeral,
            "exclude ephemeral topics and channels from the reports"),
        ServerOption("statsd-interval", \.statsd.interval, "time between two reports to statsd"),
        ServerOption(
            "statsd-mem-stats", \.statsd.sendsMemory, "include memory statistics in the reports"),
        ServerOption(
            "statsd-prefix", \.statsd.prefix,
            "prefix of statsd keys; %s is replaced by the broadcast address and port"),
        ServerOption(
            "statsd-udp-packet-size", \.statsd.packetBytes,
            "maximum size of a statsd datagram in bytes"),
    ]

    // MARK: Topology

    private static let topology: [ServerOption] = [
        ServerOption(
            "enable-experiment", \.topology.experiments,
            "ignored: this broker has no experimental features", isOwn: true),
        ServerOption(
            "topology-region", \.topology.region,
            "ignored: messages are delivered to consumers of all regions alike", isOwn: true),
        ServerOption(
            "topology-zone", \.topology.zone,
            "ignored: messages are delivered to consumers of all zones alike", isOwn: true),
    ]

    // MARK: End-to-end latencies

    private static let latency: [ServerOption] = [
        ServerOption(
            "e2e-processing-latency-percentile", \.latency.percentiles,
            "end-to-end latency percentiles, each in (0, 1]; repeatable or comma-separated",
            key: .named("e2e_processing_latency_percentiles")),
        ServerOption(
            "e2e-processing-latency-window-time", \.latency.window,
            "time window of the latency percentiles"),
    ]

    // MARK: Options that nsqd 1.3.0 does not have

    private static let own: [ServerOption] = [
        ServerOption(
            "auth-http-request-method", \.auth.requestMethod,
            "method of requests to authorization servers: get or post", isOwn: true),
        ServerOption(
            "http-host", \.addresses.httpHosts,
            """
            name that the HTTP API accepts as Host on a loopback address, besides loopback names \
            and --broadcast-address; repeatable
            """,
            key: .named("http_hosts"), isOwn: true),
        .logFormat(\.log.format),
        ServerOption(
            "keep-expired", \.core.keepsExpired,
            """
            move messages that expire (--message-ttl) to the topic TOPIC.CHANNEL.failed instead of \
            deleting them
            """,
            isOwn: true),
        ServerOption(
            "max-attempts", \.core.attemptLimits,
            """
            number of deliveries after which a message is moved to the topic TOPIC.CHANNEL.failed: \
            COUNT for all channels but those of failed sets, or TOPIC/CHANNEL=COUNT; repeatable; 0 for \
            no limit
            """,
            isOwn: true),
        ServerOption(
            "max-channels", \.core.maxChannelsPerTopic,
            "maximum number of channels per topic; 0 for no limit", isOwn: true),
        ServerOption(
            "max-connections", \.maxConnections,
            """
            maximum number of TCP connections, and of HTTP connections; 0 derives both from the \
            limit of file descriptors
            """,
            isOwn: true),
        ServerOption(
            "max-disk-bytes", \.disk.journal.maxDiskBytes,
            "maximum size of all files in the data path in bytes; 0 for no limit", isOwn: true),
        ServerOption(
            "max-memory-bytes", \.core.maxMemoryBytes,
            "maximum memory for messages and clients in bytes; above it, publishes are refused",
            isOwn: true),
        ServerOption(
            "message-ttl", \.core.lifetimes,
            """
            time after which messages expire that were not delivered: DURATION for all topics but \
            failed sets, or TOPIC=DURATION; repeatable
            """,
            isOwn: true),
        ServerOption(
            "max-topics", \.core.maxTopics, "maximum number of topics; 0 for no limit", isOwn: true),
        ServerOption(
            "memory-only", \.disk.isMemoryOnly,
            "store messages in memory only, and nothing on disk", isOwn: true),
        ServerOption(
            "sync", \.disk.sync,
            """
            when a publish is acknowledged: write, after the write to the file system, so that it \
            survives a crash of the broker; always, after fsync, so that it survives a power failure
            """,
            isOwn: true),
    ]
}
