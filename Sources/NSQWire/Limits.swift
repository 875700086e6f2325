/// Every bound of the protocol in one place, each with the rule it comes from.
///
/// Those that nsqd lets a flag change are defaults here; the running values are the broker's options.
@usableFromInline
package enum Limits {
    /// Longest command line, newline included: the size of nsqd's read buffer. A longer one ends
    /// the connection without an error frame.
    package static let lineBytes = 16_384

    /// A topic's or channel's name, `#ephemeral` included (NSQ, “Topic and Channel Names”).
    package static let nameBytes = 64

    /// `--max-msg-size`: one message's body.
    package static let messageBytes = 1_048_576

    /// `--max-body-size`: the body of an MPUB, IDENTIFY or AUTH.
    package static let bodyBytes = 5_242_880

    /// `--max-rdy-count`.
    package static let readyCount = 2_500

    /// `--msg-timeout`: how long a consumer may hold a message unless it asks otherwise.
    package static let messageTimeout = Duration.seconds(60)

    /// `--max-msg-timeout`: the most that IDENTIFY may ask for and that TOUCH may stretch to.
    package static let longestMessageTimeout = Duration.seconds(15 * 60)

    /// `--max-req-timeout`: the longest deferral by REQ (clamped) and DPUB (refused).
    package static let longestDeferral = Duration.seconds(60 * 60)

    /// The interval of heartbeats when IDENTIFY does not set one.
    package static let heartbeatInterval = Duration.seconds(30)

    /// `--max-heartbeat-interval`.
    package static let longestHeartbeatInterval = Duration.seconds(60)

    /// The shortest interval or timeout that IDENTIFY may ask for.
    package static let shortestInterval = Duration.seconds(1)

    /// `--output-buffer-timeout`, and the range that IDENTIFY may ask for.
    package static let outputBufferTimeout = Duration.milliseconds(250)
    package static let shortestOutputBufferTimeout = Duration.milliseconds(25)
    package static let longestOutputBufferTimeout = Duration.seconds(30)

    /// The output buffer when IDENTIFY does not set one, and the range that it may ask for.
    package static let outputBufferBytes = 16_384
    package static let smallestOutputBufferBytes = 64
    package static let largestOutputBufferBytes = 65_536

    /// `--max-deflate-level`.
    package static let deflateLevel = 6

    /// The largest frame a client takes from a broker: the largest body a broker may be told to
    /// allow is far below, so that a bigger size can only be garbage.
    @inlinable package static var frameBytes: Int { 256 * 1024 * 1024 }
}
