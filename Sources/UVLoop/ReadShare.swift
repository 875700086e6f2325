/// How much each stream may read in a turn, so that none waits for what many others have to say.
///
/// A turn reads about `most`, shared by those that have something; if that is less for each than a
/// read is worth, each still gets `least`.
struct ReadShare {
    /// Counts the turns.
    private(set) var turn = 0
    private var readers = 0
    private var readersBefore = 0

    private static let most = 2 << 20
    private static let least = 16 << 10

    /// In bytes. It shrinks while the turn goes on and others come: how many is only known by then.
    var share: Int { max(Self.least, Self.most / max(1, readers, readersBefore)) }

    /// Someone reads for the first time in this turn.
    mutating func join() { readers += 1 }

    mutating func endTurn() {
        turn += 1
        readersBefore = readers
        readers = 0
    }
}
