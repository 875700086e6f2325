/// Computes an RDY count for each connection, so that their sum is at most max-in-flight.
///
/// RDY is a limit, not a credit: nsqd keeps up to RDY messages in flight to a connection. With more
/// connections than max-in-flight, some connections have RDY 0, and ``rotate()`` periodically
/// selects other connections for RDY 1. With fewer connections: while any connection is busy, each idle
/// one has RDY 1, so that an nsqd without messages does not take a share of max-in-flight from a busy
/// one.
///
/// - SeeAlso: NSQ, “Building Client Libraries”, RDY State.
package struct ReadyDistribution: Sendable {
    /// A new RDY count for one connection.
    package struct Change: Equatable, Sendable {
        /// The serial number of the connection.
        package let connection: Int
        /// The new RDY count.
        package let ready: Int

        /// Combines a connection and its count.
        package init(connection: Int, ready: Int) {
            self.connection = connection
            self.ready = ready
        }
    }

    private struct Member {
        let connection: Int
        let maxReady: Int
        var ready = 0
        var isIdle = false
        /// The maximum during a backoff of the nsqd.
        var cap: Int?
    }

    /// The maximum number of messages in flight over all connections.
    package private(set) var maxInFlight: Int
    private var members: [Member] = []
    /// The index of the first connection with RDY 1, while there are more connections than
    /// max-in-flight.
    private var firstServed = 0

    /// The largest effective maximum. It bounds all RDY counts, so that computations with them do not
    /// overflow, whatever the options and nsqd's limits are.
    package static let largestMaxInFlight = 1 << 40

    /// Creates a distribution without connections. A negative maximum counts as zero. A maximum beyond
    /// ``largestMaxInFlight`` is lowered to it.
    package init(maxInFlight: Int) {
        self.maxInFlight = Self.clamped(maxInFlight)
    }

    private static func clamped(_ count: Int) -> Int { min(max(0, count), largestMaxInFlight) }

    /// The smallest RDY count of a connection that may receive messages; 0 if there is none.
    package var leastReady: Int { members.lazy.map(\.ready).filter { $0 > 0 }.min() ?? 0 }

    /// Returns the RDY count of a connection; 0 for an unknown one.
    func ready(of connection: Int) -> Int {
        members.first { $0.connection == connection }?.ready ?? 0
    }

    /// Adds a connection.
    ///
    /// - Parameters:
    ///   - connection: the serial number of the connection.
    ///   - maxReady: nsqd's `--max-rdy-count`; nsqd closes a connection that sends a higher RDY
    ///     count.
    /// - Returns: the changed RDY counts, lowered ones first.
    package mutating func add(_ connection: Int, maxReady: Int) -> [Change] {
        members.append(Member(connection: connection, maxReady: max(1, maxReady)))
        return redistribute()
    }

    /// Removes a connection, and returns the changed RDY counts of the other connections.
    package mutating func remove(_ connection: Int) -> [Change] {
        members.removeAll { $0.connection == connection }
        return redistribute()
    }

    /// Changes the maximum number of messages in flight.
    ///
    /// - Returns: the changed RDY counts, lowered ones first.
    package mutating func setMaxInFlight(_ count: Int) -> [Change] {
        maxInFlight = Self.clamped(count)
        return redistribute()
    }

    /// Moves RDY 1 to the next connections if there are more connections than max-in-flight. Call this
    /// method periodically.
    ///
    /// - Returns: the changed RDY counts, lowered ones first.
    package mutating func rotate() -> [Change] {
        guard served.count > maxInFlight else { return [] }
        firstServed += maxInFlight
        return redistribute()
    }

    /// Changes which connections are idle.
    ///
    /// - Parameter isIdle: returns `true` for a connection that has received no message for a while.
    /// - Returns: the changed RDY counts, lowered ones first.
    package mutating func updateIdle(_ isIdle: (Int) -> Bool) -> [Change] {
        var hasChanged = false
        for index in members.indices {
            let isIdle = isIdle(members[index].connection)
            hasChanged = hasChanged || isIdle != members[index].isIdle
            members[index].isIdle = isIdle
        }
        return hasChanged ? redistribute() : []
    }

    /// Limits the RDY count of one connection; `nil` ends the limit.
    ///
    /// - Returns: the changed RDY counts, lowered ones first.
    package mutating func setCap(_ connection: Int, to cap: Int?) -> [Change] {
        for index in members.indices where members[index].connection == connection {
            members[index].cap = cap
        }
        return redistribute()
    }

    /// The indices of the connections that may receive messages.
    private var served: [Int] { members.indices.filter { members[$0].cap != 0 } }

    private mutating func redistribute() -> [Change] {
        let served = served
        let levels = served.count > maxInFlight ? rotatedLevels(of: served) : equalLevels()
        var lowered: [Change] = []
        var raised: [Change] = []
        for (index, level) in levels.enumerated() where level != members[index].ready {
            let change = Change(connection: members[index].connection, ready: level)
            if level < members[index].ready {
                lowered.append(change)
            } else {
                raised.append(change)
            }
            members[index].ready = level
        }
        return lowered + raised
    }

    private mutating func rotatedLevels(of served: [Int]) -> [Int] {
        firstServed %= served.count
        var levels = Array(repeating: 0, count: members.count)
        for place in 0..<maxInFlight { levels[served[(firstServed + place) % served.count]] = 1 }
        return levels
    }

    /// Divides max-in-flight equally among the connections that are not idle. The connections with the
    /// lowest limits are computed first, so that connections with higher limits share what the former
    /// cannot use.
    private func equalLevels() -> [Int] {
        var levels = Array(repeating: 0, count: members.count)
        var left = maxInFlight
        let isAnyBusy = members.contains { !$0.isIdle && $0.cap != 0 }
        let limits = members.map {
            min($0.cap ?? .max, isAnyBusy && $0.isIdle ? 1 : $0.maxReady)
        }
        let order = members.indices.sorted { (limits[$0], $0) < (limits[$1], $1) }
        for (servedCount, index) in order.enumerated() {
            let waiting = order.count - servedCount
            levels[index] = min(limits[index], (left + waiting - 1) / waiting)
            left -= levels[index]
        }
        return levels
    }
}
