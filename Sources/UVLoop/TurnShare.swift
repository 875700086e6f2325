/// How much each of many may do in a turn, so that none waits for what all the others have to do.
///
/// Together they do about `most` in a turn; if that is less for each than is worth beginning with,
/// each still does `least`. In the first turn of a flood it is a few times as much, for how many there
/// are is only known by and by.
package struct TurnShare {
    private let most: Int
    private let least: Int
    private var turn = 0
    private var joined = 0
    private var joinedBefore = 0

    /// Both in bytes.
    package init(most: Int, least: Int) {
        self.most = most
        self.least = least
    }

    /// For each that has joined, in bytes; it shrinks as others join.
    package var share: Int { max(least, most / max(1, joined, joinedBefore)) }

    /// Someone begins with a turn's work.
    package mutating func join(in turn: Int) {
        if turn != self.turn {
            joinedBefore = turn == self.turn + 1 ? joined : 0
            joined = 0
            self.turn = turn
        }
        joined += 1
    }
}
