/// The deadlines of a server's connections, which nsqd does not have. Each is longer than clients of
/// nsqd need, and short enough that idle clients cannot occupy all connections.
package struct HTTPTimeouts: Sendable {
    /// The maximum time from the first byte of a request's head to its last byte.
    package var head = Duration.seconds(30)
    /// The time in which a body may arrive, in addition to the time that ``minBodyRate`` allows.
    package var body = Duration.seconds(30)
    /// The average rate in bytes per second below which a body is too slow.
    package var minBodyRate = 1 << 10
    /// The maximum time between two requests. Go's client closes an idle connection after 90 s.
    package var idle = Duration.seconds(120)
    /// The maximum time in which a client reads none of the bytes that wait for it.
    package var write = Duration.seconds(60)

    /// The interval in which the server checks the deadlines.
    static let checkInterval = Duration.seconds(1)

    /// Creates the default timeouts.
    package init() {}

    /// Returns the maximum time for a body of which `count` bytes have arrived, in nanoseconds. A body
    /// has at most 2^30 bytes (`ServerOption.bounds`), so the product does not overflow.
    func bodyNanoseconds(received count: Int) -> Int64 {
        body.wholeNanoseconds + Int64(count) * (1_000_000_000 / Int64(max(1, minBodyRate)))
    }
}

extension Duration {
    /// The duration in nanoseconds. Timeouts are too short to overflow.
    var wholeNanoseconds: Int64 { Int64(self / .nanoseconds(1)) }
}
