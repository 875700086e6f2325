import TallyBasics

/// Checks that an immediate play is delayed only by the commit of its batch. This commit must start
/// when the play is received, or when the previous commit ends. The first calls after the commit
/// must contain the play.
///
/// The check compares the order and the loop iterations of events instead of durations. So its
/// result does not depend on the speed of the machine.
struct ImmediacyChecker {
    private let received: PlayLog
    private let batches: BatchLog
    private let calls: CallLog
    private let realtimeBelow: Int
    /// Whether immediate plays may wait to share a call with others.
    private let coalesces: Bool
    /// The total of each video of `received` after the batches checked so far, by the video's index.
    private var totals: [Int]
    private var nextPlay = 0
    private var violations = Violations()
    /// The number of batches with immediate plays.
    private var immediateBatches = 0

    /// - Parameter before: the video's total before the run.
    init(
        received: PlayLog, batches: BatchLog, calls: CallLog, bounds: Verdict.Bounds,
        before: (VideoID) -> Int
    ) {
        self.received = received
        self.batches = batches
        self.calls = calls
        realtimeBelow = bounds.realtimeBelow
        coalesces = bounds.coalesce > .zero
        totals = received.videoIDList.map(before)
    }

    /// Checks all batches.
    ///
    /// - Returns: the result of the rule.
    mutating func rule() -> Verdict.Rule {
        for index in batches.batches.indices { checkBatch(at: index) }
        while nextPlay < received.count {
            if let play = countNextPlay() {
                violations.record("\(play.videoID): play \(play.count) was never committed")
            }
        }
        let rule =
            coalesces
            ? "each play below \(realtimeBelow) is committed at once"
            : "each play below \(realtimeBelow) is in the first calls after its commit"
        return violations.rule(
            rule,
            passing: "no violations in \(counted(immediateBatches, "batch", plural: "batches"))")
    }

    private mutating func checkBatch(at index: Int) {
        let batch = batches.batches[index]
        var expected: [VideoID: Int] = [:]
        var firstReceipt: Int?
        while nextPlay < batch.receivedPlays {
            let play = nextPlay
            guard let count = countNextPlay() else { continue }
            expected[count.videoID] = count.count
            firstReceipt = firstReceipt ?? batches.receiptIteration(ofPlay: play)
        }
        guard let firstReceipt, let endIteration = batch.endIteration else { return }
        immediateBatches += 1
        let previousEnd = index > 0 ? batches.batches[index - 1].endIteration : nil
        if batch.startIteration != firstReceipt, batch.startIteration != previousEnd {
            violations.record("batch \(index + 1) waited before its commit")
        }
        guard !coalesces else { return }
        let next = index + 1 < batches.batches.count ? batches.batches[index + 1] : nil
        let end = next?.endIteration == nil ? calls.calls : next!.callsBeforeEnd
        for call in batch.callsBeforeEnd..<max(batch.callsBeforeEnd, end) {
            let call = calls[call]
            guard call.iteration == endIteration else { break }
            for count in call.counts where expected[count.videoID] ?? .max <= count.count {
                expected[count.videoID] = nil
            }
        }
        if let (videoID, count) = expected.first {
            violations.record(
                "\(videoID): play \(count) was not in the first calls after its commit")
        }
    }

    /// Counts the next play.
    ///
    /// - Returns: the video with its total if the play is immediate, otherwise `nil`.
    private mutating func countNextPlay() -> PlayCount? {
        let video = received.videoIndex(ofPlay: nextPlay)
        nextPlay += 1
        totals[video] += 1
        guard totals[video] < realtimeBelow else { return nil }
        return PlayCount(of: received.videoIDList[video], totals[video])
    }
}
