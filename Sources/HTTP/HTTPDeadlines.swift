/// The times from which the deadlines of one connection are counted, on the monotonic clock in
/// nanoseconds.
struct HTTPDeadlines {
    private var phase = Phase.idle(since: 0)
    /// The number of unsent bytes, and the time when that number last changed.
    private var lastProgress: (unsentBytes: Int, at: Int64) = (0, 0)

    private enum Phase {
        /// The connection waits for the first byte of a request.
        case idle(since: Int64)
        /// A part of a request's head was received.
        case head(since: Int64)
        /// A request's head was received.
        case body(since: Int64)
    }

    /// Starts the deadline of the pause between two requests.
    mutating func beginIdle(at now: Int64) { phase = .idle(since: now) }

    /// Starts the deadline of a head when its first bytes arrive; further bytes do not extend the
    /// deadline.
    mutating func beginHead(at now: Int64) {
        if case .idle = phase { phase = .head(since: now) }
    }

    /// Starts the deadline of a body.
    mutating func beginBody(at now: Int64) { phase = .body(since: now) }

    func isIdleTooLong(at now: Int64, _ timeouts: HTTPTimeouts) -> Bool {
        guard case .idle(let start) = phase else { return false }
        return now - start >= timeouts.idle.wholeNanoseconds
    }

    func isHeadLate(at now: Int64, _ timeouts: HTTPTimeouts) -> Bool {
        guard case .head(let start) = phase else { return false }
        return now - start >= timeouts.head.wholeNanoseconds
    }

    func isBodyLate(received count: Int, at now: Int64, _ timeouts: HTTPTimeouts) -> Bool {
        guard case .body(let start) = phase else { return false }
        return now - start >= timeouts.bodyNanoseconds(received: count)
    }

    /// Returns `true` if the client has read nothing of the waiting bytes for too long.
    mutating func isWriteLate(unsent count: Int, at now: Int64, _ timeouts: HTTPTimeouts) -> Bool {
        guard count > 0, count == lastProgress.unsentBytes else {
            lastProgress = (count, now)
            return false
        }
        return now - lastProgress.at >= timeouts.write.wholeNanoseconds
    }
}
