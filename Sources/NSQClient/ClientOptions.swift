import UVLoop

/// Options of connections to nsqd, for producers and consumers.
public struct ClientOptions: Sendable {
    /// The compression of a connection.
    public enum Compression: Sendable, Equatable {
        /// No compression.
        case none
        /// Snappy, which costs little processor time.
        case snappy
        /// Deflate with a level from 1 (fastest) to 9 (smallest). nsqd lowers the level to its
        /// `--max-deflate-level`, 6 by default.
        case deflate(level: Int = 6)
    }

    /// The thread on which a producer or a consumer sends and receives.
    public enum IOThread: Sendable, Equatable {
        /// One thread for all producers and consumers of the process. The thread starts with the first
        /// client and ends with the last.
        case shared
        /// A thread of its own, for a client whose TLS or compression would use most of the shared
        /// thread's time.
        case own
    }

    /// The thread on which the client sends and receives; the shared one by default. Handlers run
    /// in tasks, and never on this thread.
    public var ioThread = IOThread.shared

    static let sharedThread = SharedLoopThread(name: "nsq clients")

    /// TLS settings; nil (the default) for connections without TLS. With TLS settings, the client
    /// closes a connection to an nsqd that does not offer TLS.
    public var tls: ClientTLS?

    /// The compression that the client requests; none by default. If nsqd does not offer it, the
    /// connection is not compressed.
    public var compression = Compression.none

    /// The secret for an nsqd with `--auth-http-address`; nil (the default) for none. The client
    /// sends it only if nsqd requires it. Use TLS, because otherwise the secret is sent in clear.
    public var authSecret: String?

    /// The client ID that nsqd shows in statistics; nil (the default) lets nsqd use the address.
    public var clientID: String?

    /// The host name that nsqd shows in statistics; nil (the default) lets nsqd use the address.
    public var hostname: String?

    /// The program name that nsqd shows in statistics; `tally` by default.
    public var userAgent = "tally"

    /// The region of this client, which nsqd shows in statistics; nil (the default) for none.
    public var topologyRegion: String?

    /// The availability zone of this client, which nsqd shows in statistics; nil (the default) for
    /// none.
    public var topologyZone: String?

    /// The interval at which nsqd sends heartbeats: 1 s to 5 min, 30 s by default. nsqd accepts up
    /// to its `--max-heartbeat-interval`, 60 s by default. The client closes a connection that
    /// receives no bytes for two intervals.
    public var heartbeatInterval = Duration.seconds(30)

    /// The maximum time until nsqd has accepted the connection, the TLS handshake, IDENTIFY, AUTH
    /// and SUB: 1 ms to 5 min, 5 s by default.
    public var connectTimeout = Duration.seconds(5)

    /// The delay before the first reconnect: 1 ms to ``maxReconnectDelay``, 100 ms by default. The
    /// delay doubles after each further failure.
    public var minReconnectDelay = Duration.milliseconds(100)

    /// The maximum delay between connection attempts: up to 1 h, 10 s by default.
    public var maxReconnectDelay = Duration.seconds(10)

    /// The maximum size of a received frame in bytes: 1 KiB to 1 GiB, 16 MiB by default. Raise it
    /// together with nsqd's `--max-msg-size`.
    public var maxFrameBytes = 16 << 20

    /// Creates options with the default values.
    public init() {}
}
