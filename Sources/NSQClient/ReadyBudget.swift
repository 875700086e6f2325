/// Shares max-in-flight out over connections, as the RDY of each.
///
/// RDY is a level, not a credit: nsqd keeps up to so many messages in flight to a connection. The
/// levels never add up to more than max-in-flight. With more connections than that, some have to
/// wait with RDY 0, and `rotate` lets others have their turn.
///
/// - SeeAlso: NSQ, “Building Client Libraries”, RDY State.
package struct ReadyBudget: Sendable {
    /// The new RDY of one connection.
    package struct Change: Equatable, Sendable {
        package let connection: Int
        package let ready: Int

        package init(connection: Int, ready: Int) {
            self.connection = connection
            self.ready = ready
        }
    }

    private struct Share {
        let connection: Int
        let most: Int
        var ready = 0
    }

    package private(set) var maxInFlight: Int
    private var shares: [Share] = []
    /// Who is first to have a message when there are not enough for all.
    private var turn = 0

    package init(maxInFlight: Int) {
        self.maxInFlight = max(0, maxInFlight)
    }

    /// - Parameter most: nsqd's max-rdy-count, for a higher RDY ends the connection.
    package mutating func join(_ connection: Int, most: Int) -> [Change] {
        shares.append(Share(connection: connection, most: max(1, most)))
        return redistribute()
    }

    package mutating func leave(_ connection: Int) -> [Change] {
        shares.removeAll { $0.connection == connection }
        return redistribute()
    }

    package mutating func setMaxInFlight(_ count: Int) -> [Change] {
        maxInFlight = max(0, count)
        return redistribute()
    }

    /// To be called now and then: serves the next connections, if there are too many for all.
    package mutating func rotate() -> [Change] {
        guard shares.count > maxInFlight else { return [] }
        turn += maxInFlight
        return redistribute()
    }

    /// What changes, with those that give up some first.
    private mutating func redistribute() -> [Change] {
        let levels = shares.count > maxInFlight ? levelsInTurn() : levelsForAll()
        var lowered: [Change] = []
        var raised: [Change] = []
        for (index, level) in levels.enumerated() where level != shares[index].ready {
            let change = Change(connection: shares[index].connection, ready: level)
            if level < shares[index].ready { lowered.append(change) } else { raised.append(change) }
            shares[index].ready = level
        }
        return lowered + raised
    }

    private mutating func levelsInTurn() -> [Int] {
        turn %= shares.count
        var levels = Array(repeating: 0, count: shares.count)
        for place in 0..<maxInFlight { levels[(turn + place) % shares.count] = 1 }
        return levels
    }

    /// Equal shares, the remainder to the earlier ones. Those with the lowest bound choose first,
    /// so that what they cannot take is left to the others.
    private func levelsForAll() -> [Int] {
        var levels = Array(repeating: 0, count: shares.count)
        var left = maxInFlight
        let order = shares.indices.sorted { (shares[$0].most, $0) < (shares[$1].most, $1) }
        for (served, index) in order.enumerated() {
            let waiting = order.count - served
            levels[index] = min(shares[index].most, (left + waiting - 1) / waiting)
            left -= levels[index]
        }
        return levels
    }
}
