import TallyBasics

/// The batches that a processor committed, in order. Events are recorded with their loop iteration
/// instead of a time. So the log shows what happened between the receipt of a play and its call
/// independently of the machine's speed.
package struct BatchLog: Sendable {
    /// One commit.
    struct Batch: Sendable {
        /// The total number of plays that were received before the commit started, including those
        /// of earlier batches.
        let receivedPlays: Int
        /// The loop iteration in which the commit started.
        let startIteration: Int
        /// The loop iteration in which the commit ended; `nil` if it has not ended.
        var endIteration: Int?
        /// The number of calls that were made before the commit ended.
        var callsBeforeEnd = 0
    }

    private(set) var batches: [Batch] = []
    private var receivedPlays = 0
    /// For each loop iteration in which plays were received: the total number of received plays at
    /// its end.
    private var receipts: [(iteration: Int, receivedPlays: Int)] = []

    package init() {}

    /// Records the receipt of the next play of the ``PlayLog``.
    package mutating func recordPlay(iteration: Int) {
        receivedPlays += 1
        if receipts.last?.iteration == iteration {
            receipts[receipts.count - 1].receivedPlays = receivedPlays
        } else {
            receipts.append((iteration, receivedPlays))
        }
    }

    /// Records the start of a commit.
    package mutating func recordStart(iteration: Int) {
        batches.append(Batch(receivedPlays: receivedPlays, startIteration: iteration))
    }

    /// Records the end of the last commit.
    ///
    /// - Parameter callsSoFar: the number of calls that were made before the commit ended.
    package mutating func recordEnd(iteration: Int, callsSoFar: Int) {
        guard !batches.isEmpty else { return }
        batches[batches.count - 1].endIteration = iteration
        batches[batches.count - 1].callsBeforeEnd = callsSoFar
    }

    /// The loop iteration in which a play was received.
    func receiptIteration(ofPlay index: Int) -> Int {
        let receipt = receipts.partitioningIndex { $0.receivedPlays > index }
        return receipt < receipts.count ? receipts[receipt].iteration : 0
    }
}
