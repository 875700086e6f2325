/// Decides when a loop without pending work polls again instead of blocking in `epoll_wait`.
///
/// The kernel takes longer to wake a blocked thread than a client on the same machine takes to
/// respond. With one message in flight at a time, these wake-ups are most of the latency of each
/// message.
///
/// On a busy machine, polling takes CPU time from the client whose response the loop expects. The
/// loop therefore polls only if the last input arrived within the time limit. Each poll without input
/// increases the number of later waits in which the loop does not poll.
struct BusyPoll {
    /// The time in nanoseconds for which the loop polls before it blocks.
    private let timeLimit: Int64
    private var hasInput = false
    private var lastInputWasQuick = false
    private var waitStart: Int64 = 0
    /// The exponent of the number of waits to skip: each poll without input adds 2, each poll with
    /// input subtracts 1.
    private var skipExponent = 0
    /// The number of further waits in which the loop blocks at once, without polling first.
    private var waitsToSkip = 0
    private var isPolling = false

    init(timeLimit: Int64) { self.timeLimit = timeLimit }

    /// Returns `true` if a loop iteration that took `duration` nanoseconds only polled, without
    /// input. An iteration that takes as long as the limit is not an empty poll, because a timer may
    /// have run in it.
    func isEmptyPoll(ofDuration duration: Int64) -> Bool {
        isPolling && !hasInput && duration < timeLimit
    }

    /// Records that a stream received bytes.
    mutating func recordInput() { hasInput = true }

    /// Decides how the loop waits next.
    ///
    /// - Parameter now: the monotonic time in nanoseconds.
    /// - Returns: `true` if the loop polls, `false` if it blocks.
    mutating func shouldPoll(at now: Int64) -> Bool {
        if hasInput {
            hasInput = false
            waitStart = now
            if isPolling { skipExponent = max(0, skipExponent - 1) }
            isPolling = lastInputWasQuick && waitsToSkip == 0
            if lastInputWasQuick, waitsToSkip > 0 { waitsToSkip -= 1 }
        } else if isPolling, now - waitStart >= timeLimit {
            isPolling = false
            lastInputWasQuick = false
            skipExponent = min(skipExponent + 2, Self.maxSkipExponent)
            waitsToSkip = 1 << skipExponent
        }
        return isPolling
    }

    /// The maximum of `skipExponent`: the loop polls again after at most 4096 waits that follow a quick
    /// input.
    private static let maxSkipExponent = 12

    /// Records that the loop has polled or blocked until `now`.
    mutating func waitEnded(at now: Int64) {
        guard hasInput else { return }
        lastInputWasQuick = now - waitStart < timeLimit
    }
}
