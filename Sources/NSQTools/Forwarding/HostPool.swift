import TallyBasics

/// Selects one of several hosts for each request. Time is an argument.
package struct HostPool: Sendable {
    /// The rule by which a host is selected.
    package enum Mode: Sendable {
        /// All hosts in turn, even hosts that do not respond.
        case roundRobin
        /// The hosts that respond, in turn. A host that failed is not selected for 30 seconds. This
        /// time doubles with each further failure, up to 15 minutes.
        case respondingHosts
        /// Mostly the host with the shortest average response time. At random, and less often over
        /// time, a host is selected as in ``respondingHosts``, to measure the others too.
        case epsilonGreedy
    }

    private struct Host {
        /// The time until which the host is not selected; `nil` if its last request succeeded.
        var deadUntil: Int64?
        var retryDelay = HostPool.firstRetryDelay
        /// The moving average of the response times in seconds; `nil` before the first response.
        var averageSeconds: Double?
    }

    private let mode: Mode
    private var hosts: [Host]
    private var next = 0
    private var generator: SplitMix64
    /// The probability of a selection in turn instead of the fastest host. It decreases with each
    /// selection in turn.
    private var epsilon = 0.3

    static let firstRetryDelay = Duration.seconds(30)
    static let maxRetryDelay = Duration.seconds(900)
    private static let minEpsilon = 0.01
    private static let epsilonDecay = 0.9
    /// The weight of the latest response time in the average.
    private static let latestWeight = 0.2

    /// Creates a pool in which all hosts are assumed to respond.
    ///
    /// - Parameters:
    ///   - count: the number of hosts, at least 1.
    ///   - seed: the seed of the random selections.
    package init(_ count: Int, _ mode: Mode, seed: UInt64) {
        precondition(count > 0, "a pool has at least one host")
        hosts = Array(repeating: Host(), count: count)
        self.mode = mode
        generator = SplitMix64(seed: seed)
    }

    /// Returns the index of the host for the next request.
    ///
    /// - Parameter now: the monotonic time in nanoseconds.
    package mutating func select(at now: Int64) -> Int {
        switch mode {
        case .roundRobin: return nextHost { _ in true } ?? 0
        case .respondingHosts: return nextResponding(at: now)
        case .epsilonGreedy:
            guard Double.random(in: 0..<1, using: &generator) >= epsilon,
                let fastest = fastest(at: now)
            else {
                epsilon = max(Self.minEpsilon, epsilon * Self.epsilonDecay)
                return nextResponding(at: now)
            }
            return fastest
        }
    }

    /// Records the outcome of a request.
    ///
    /// - Parameters:
    ///   - index: the host.
    ///   - duration: the response time; `nil` if the request failed.
    ///   - now: the monotonic time in nanoseconds.
    package mutating func record(_ index: Int, responseTime duration: Duration?, at now: Int64) {
        guard let duration else {
            let delay = hosts[index].retryDelay
            hosts[index].deadUntil = now.addingSaturated(delay.nanoseconds)
            hosts[index].retryDelay = min(delay * 2, Self.maxRetryDelay)
            return
        }
        let seconds = duration / .seconds(1)
        hosts[index].deadUntil = nil
        hosts[index].retryDelay = Self.firstRetryDelay
        hosts[index].averageSeconds =
            hosts[index].averageSeconds.map {
                $0 + (seconds - $0) * Self.latestWeight
            } ?? seconds
    }

    private mutating func nextResponding(at now: Int64) -> Int {
        if let index = nextHost({ Self.isUsable($0, at: now) }) { return index }
        // If no host responds, all are tried again.
        for index in hosts.indices { hosts[index].deadUntil = nil }
        return nextHost { _ in true } ?? 0
    }

    private mutating func nextHost(_ isUsable: (Host) -> Bool) -> Int? {
        for offset in hosts.indices {
            let index = (next + offset) % hosts.count
            guard isUsable(hosts[index]) else { continue }
            next = (index + 1) % hosts.count
            return index
        }
        return nil
    }

    private func fastest(at now: Int64) -> Int? {
        hosts.indices
            .filter { Self.isUsable(hosts[$0], at: now) && hosts[$0].averageSeconds != nil }
            .min { hosts[$0].averageSeconds! < hosts[$1].averageSeconds! }
    }

    private static func isUsable(_ host: Host, at now: Int64) -> Bool {
        host.deadUntil.map { $0 <= now } ?? true
    }
}
