/// What producers and consumers have in common: how to talk to an nsqd.
public struct ClientOptions: Sendable {
    /// The name nsqd shows for this client; nil leaves the choice to nsqd, which takes the address.
    public var clientID: String?

    /// The machine nsqd shows for this client; nil leaves the choice to nsqd.
    public var hostname: String?

    /// The program nsqd shows for this client.
    public var userAgent = "tally"

    /// How often nsqd sends a heartbeat: 1 s to 60 s, 30 s unless set. A connection on which nothing
    /// came for two intervals is given up.
    public var heartbeatInterval = Duration.seconds(30)

    /// How long a connection may take to come about, up to nsqd's answer to IDENTIFY and SUB; 5 s
    /// unless set.
    public var connectTimeout = Duration.seconds(5)

    /// The first pause after a failure, doubled after each further one; 100 ms unless set.
    public var shortestPause = Duration.milliseconds(100)

    /// The longest pause between attempts; 10 s unless set.
    public var longestPause = Duration.seconds(10)

    /// The largest frame taken from nsqd, in bytes; 16 MiB unless set. To be raised along with
    /// nsqd's own `--max-msg-size`.
    public var largestFrameBytes = 16 << 20

    public init() {}
}
