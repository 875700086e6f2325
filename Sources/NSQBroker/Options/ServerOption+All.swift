import BrokerCore
import Transport

extension ServerOption {
    /// Every option, by the flag's name. A new one is a line in one of the groups below, and a
    /// value in `ServerOptions`.
    package static let all: [ServerOption] =
        (process + addresses + messages + clients + tls + disk + services + latency + own)
        .sorted { $0.flag < $1.flag }

    // MARK: What concerns the process

    private static let process: [ServerOption] = [
        ServerOption(
            "config", \.process.configFile, "a TOML file with options; flags beat it", key: .none),
        ServerOption("log-level", \.log.level, "what to log: debug, info, warn, error or fatal"),
        ServerOption("log-prefix", \.log.prefix, "what each line of the log begins with"),
        ServerOption("node-id", \.nodeID, "a number for this nsqd, 0 to 1023", key: .named("id")),
        ServerOption(
            "verbose", \.process.verbose, "taken, and without effect; see --log-level", key: .none),
        ServerOption(
            "version", \.process.showsVersion, "print the version and end", key: .none),
        ServerOption(
            "worker-id", \.process.workerID, "taken, and without effect; see --node-id", key: .none),
    ]

    // MARK: Where to listen, and what to tell others

    private static let addresses: [ServerOption] = [
        ServerOption(
            "tcp-address", \.addresses.tcp,
            """
            where to listen for clients: host:port or the path of a Unix-domain socket; port 0 is \
            any free one
            """),
        ServerOption(
            "http-address", \.addresses.http,
            """
            where to serve the HTTP API: host:port or the path of a Unix-domain socket; empty: \
            nowhere
            """),
        ServerOption(
            "https-address", \.addresses.https,
            "where to serve the HTTP API over TLS, if there is a certificate"),
        ServerOption(
            "broadcast-address", \.addresses.broadcast,
            "what others are told to reach this nsqd by; by default the host's name"),
        ServerOption(
            "broadcast-tcp-port", \.addresses.broadcastTCPPort,
            "the TCP port that others are told; by default the one listened on"),
        ServerOption(
            "broadcast-http-port", \.addresses.broadcastHTTPPort,
            "the HTTP port that others are told; by default the one listened on"),
    ]

    // MARK: Messages and commands

    private static let messages: [ServerOption] = [
        ServerOption(
            "max-body-size", \.core.maxBodyBytes,
            "the largest body of an MPUB, IDENTIFY or AUTH, in bytes"),
        ServerOption("max-msg-size", \.core.maxMessageBytes, "the largest message, in bytes"),
        ServerOption(
            "max-msg-timeout", \.core.maxMessageTimeout,
            "the longest message timeout that a client may ask for, or TOUCH up to"),
        ServerOption(
            "max-req-timeout", \.core.maxRequeueTimeout, "the longest deferral, by REQ or DPUB"),
        ServerOption(
            "mem-queue-size", \.core.memoryQueueSize,
            "messages of a topic that are held in memory where there is a data path, but for those "
                + "about to be needed; an ephemeral topic or channel drops what is more"),
        ServerOption(
            "msg-timeout", \.core.messageTimeout,
            "how long a consumer may hold a message before it goes to another"),
        ServerOption(
            "queue-scan-selection-count", \.scan.selectionCount,
            "taken, and without effect: timeouts are punctual without looking for them"),
        ServerOption(
            "queue-scan-worker-pool-max", \.scan.workerPoolMax, "taken, and without effect"),
    ]

    // MARK: What clients may ask for

    private static let clients: [ServerOption] = [
        ServerOption("deflate", \.core.deflateEnabled, "offer deflate to clients that ask for it"),
        ServerOption(
            "max-channel-consumers", \.core.maxChannelConsumers,
            "consumers that a channel may have; 0: any number"),
        ServerOption(
            "max-deflate-level", \.core.maxDeflateLevel, "the highest deflate level given, 1 to 9"),
        ServerOption(
            "max-heartbeat-interval", \.core.maxHeartbeatInterval,
            "the longest heartbeat interval that a client may ask for"),
        ServerOption(
            "max-output-buffer-size", \.core.maxOutputBufferBytes,
            "the largest output buffer that a client may ask for, in bytes"),
        ServerOption(
            "max-output-buffer-timeout", \.core.maxOutputBufferTimeout,
            "the longest output buffer timeout that a client may ask for"),
        ServerOption("max-rdy-count", \.core.maxReadyCount, "the highest RDY count"),
        ServerOption(
            "min-output-buffer-timeout", \.core.minOutputBufferTimeout,
            "the shortest output buffer timeout that a client may ask for"),
        ServerOption(
            "output-buffer-timeout", \.core.outputBufferTimeout,
            "the output buffer timeout that clients are told; messages leave at once whatever it is"
        ),
        ServerOption("snappy", \.core.snappyEnabled, "offer snappy to clients that ask for it"),
    ]

    // MARK: TLS

    private static let tls: [ServerOption] = [
        ServerOption(
            "tls-cert", \.tls.certificateFile, "the certificate that turns TLS on; a PEM file"),
        ServerOption(
            "tls-client-auth-policy", \.tls.clientAuthPolicy,
            """
            whether clients must show a certificate: require (any), or require-verify (one that \
            --tls-root-ca-file vouches for)
            """),
        ServerOption("tls-key", \.tls.keyFile, "the certificate's private key; a PEM file"),
        ServerOption(
            "tls-min-version", \.tls.minVersion,
            """
            the lowest TLS version: tls1.0, tls1.1, tls1.2 or tls1.3; the system's OpenSSL has the \
            last word
            """),
        ServerOption(
            "tls-required", \.tls.requirement,
            "refuse clients without TLS: true, false, or tcp-https to leave plain HTTP open"),
        ServerOption(
            "tls-root-ca-file", \.tls.rootCAFile,
            "the authorities that clients' certificates must come from; a PEM file"),
    ]

    // MARK: What is kept

    private static let disk: [ServerOption] = [
        ServerOption(
            "data-path", \.disk.dataPath,
            "a folder to keep topics, channels and messages in; without one they are in memory only"
        ),
        ServerOption(
            "max-bytes-per-file", \.disk.journal.maxBytesPerFile, "the size of a file of messages"),
        ServerOption(
            "sync-every", \.disk.journal.syncEvery, "messages written between two syncs of the disk"
        ),
        ServerOption("sync-timeout", \.disk.syncTimeout, "the time between two syncs of the disk"),
    ]

    // MARK: What the broker talks to

    private static let services: [ServerOption] = [
        ServerOption(
            "auth-http-address", \.auth.httpAddresses,
            "host:port or URL of an auth server; repeatable", key: .named("auth_http_addresses")),
        ServerOption(
            "http-client-connect-timeout", \.httpClient.connectTimeout,
            "how long the broker's own requests may take to connect"),
        ServerOption(
            "http-client-request-timeout", \.httpClient.requestTimeout,
            "how long the broker's own requests may take"),
        ServerOption(
            "lookupd-tcp-address", \.lookup.tcpAddresses,
            "an nsqlookupd to register with; repeatable", key: .named("nsqlookupd_tcp_addresses")),
        ServerOption(
            "statsd-address", \.statsd.address, "host:port of a statsd to push statistics to"),
        ServerOption(
            "statsd-exclude-ephemeral", \.statsd.excludesEphemeral,
            "leave ephemeral topics and channels out of what is pushed"),
        ServerOption("statsd-interval", \.statsd.interval, "the time between two pushes to statsd"),
        ServerOption("statsd-mem-stats", \.statsd.sendsMemory, "push figures about memory as well"),
        ServerOption(
            "statsd-prefix", \.statsd.prefix,
            "what statsd's keys begin with; %s stands for address and port"),
        ServerOption(
            "statsd-udp-packet-size", \.statsd.packetBytes,
            "the largest packet for statsd, in bytes"),
    ]

    // MARK: End-to-end latencies

    private static let latency: [ServerOption] = [
        ServerOption(
            "e2e-processing-latency-percentile", \.latency.percentiles,
            "end-to-end latency percentiles to track, each in (0, 1]; repeatable, or with commas",
            key: .named("e2e_processing_latency_percentiles")),
        ServerOption(
            "e2e-processing-latency-window-time", \.latency.window,
            "how far back those percentiles look"),
    ]

    // MARK: Beyond nsqd 1.3.0

    private static let own: [ServerOption] = [
        ServerOption(
            "auth-http-request-method", \.auth.requestMethod,
            "how to ask auth servers: get or post", isOwn: true),
        ServerOption(
            "max-channels", \.core.maxChannelsPerTopic,
            "channels that a topic may have; 0: any number", isOwn: true),
        ServerOption(
            "max-connections", \.maxConnections,
            """
            clients that may be connected, by TCP and by HTTP each; 0: as many as there are file \
            descriptors for
            """,
            isOwn: true),
        ServerOption(
            "max-disk-bytes", \.disk.journal.maxDiskBytes,
            "what the files in the data path may take, in bytes; 0: any number", isOwn: true),
        ServerOption(
            "max-memory-bytes", \.core.maxMemoryBytes,
            "memory for queued messages; publishers are refused beyond it", isOwn: true),
        ServerOption(
            "max-topics", \.core.maxTopics, "topics there may be; 0: any number", isOwn: true),
        ServerOption(
            "sync", \.disk.sync,
            """
            when a publish is answered: write, once it is with the system, so that it outlives the \
            broker; always, once it is synced, so that it outlives a power cut
            """,
            isOwn: true),
    ]
}
