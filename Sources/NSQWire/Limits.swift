/// The limits of the protocol. A limit whose comment names an nsqd flag is the default of that
/// flag; the broker's options hold the effective value.
@usableFromInline
package enum Limits {
    /// The maximum length of a command line with its newline in bytes, which is the size of nsqd's
    /// read buffer. The broker closes the connection after a longer line without an error frame.
    package static let lineBytes = 16_384

    /// The maximum length of a topic or channel name in bytes, including `#ephemeral` (NSQ, “Topic
    /// and Channel Names”).
    package static let nameBytes = 64

    /// `--max-msg-size`: the maximum size in bytes of a message body.
    package static let messageBytes = 1_048_576

    /// `--max-body-size`: the maximum size in bytes of the body of MPUB.
    package static let bodyBytes = 5_242_880

    /// The maximum size in bytes of the body of IDENTIFY or AUTH, unless `--max-body-size` is
    /// smaller. A client can send IDENTIFY any number of times, and larger bodies would only occupy
    /// the broker with parsing.
    package static let smallBodyBytes = 65_536

    /// `--max-rdy-count`: the maximum RDY count.
    package static let readyCount = 2_500

    /// `--msg-timeout`: the time after which a message in flight is requeued, unless the consumer
    /// requests another timeout.
    package static let messageTimeout = Duration.seconds(60)

    /// `--max-msg-timeout`: the maximum message timeout that IDENTIFY can request. TOUCH can extend
    /// a timeout to the same maximum, counted from the delivery.
    package static let longestMessageTimeout = Duration.seconds(15 * 60)

    /// `--max-req-timeout`: the maximum deferral. The broker shortens a longer deferral of REQ, and
    /// rejects one of DPUB.
    package static let longestDeferral = Duration.seconds(60 * 60)

    /// The default interval of heartbeats.
    package static let heartbeatInterval = Duration.seconds(30)

    /// The maximum time from the connection of a client to the end of its protocol magic. It is two
    /// default heartbeat intervals. nsqd closes a silent client after this time, but only if the
    /// client has sent the magic.
    package static let greetingTimeout = Duration.seconds(60)

    /// `--max-heartbeat-interval`: the maximum heartbeat interval that IDENTIFY can request.
    package static let longestHeartbeatInterval = Duration.seconds(60)

    /// The minimum heartbeat interval and message timeout that IDENTIFY can request.
    package static let shortestInterval = Duration.seconds(1)

    /// `--output-buffer-timeout`: the default output buffer timeout.
    package static let outputBufferTimeout = Duration.milliseconds(250)
    /// The minimum output buffer timeout that IDENTIFY can request.
    package static let shortestOutputBufferTimeout = Duration.milliseconds(25)
    /// The maximum output buffer timeout that IDENTIFY can request.
    package static let longestOutputBufferTimeout = Duration.seconds(30)

    /// The default size of the output buffer in bytes.
    package static let outputBufferBytes = 16_384
    /// The minimum output buffer size that IDENTIFY can request, in bytes.
    package static let smallestOutputBufferBytes = 64
    /// The maximum output buffer size that IDENTIFY can request, in bytes.
    package static let largestOutputBufferBytes = 65_536

    /// `--max-deflate-level`: the maximum deflate level that IDENTIFY can request.
    package static let deflateLevel = 6

    /// The longest duration that a flag or a peer can set: 100 years. The sum of the wall clock
    /// time and two such durations fits in 64 bits as nanoseconds, so deadlines do not overflow.
    package static let longestDuration = Duration.seconds(100 * 365 * 86_400)

    /// The maximum size of a frame that a client accepts, in bytes. The limit is far above the
    /// message size of any realistic broker configuration.
    @inlinable package static var frameBytes: Int { 256 * 1024 * 1024 }
}
