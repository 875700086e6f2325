/// Whether a loop with nothing to do looks for news again at once, instead of letting the system
/// wake it: that takes longer than a client close by takes to answer, and with a message at a time
/// it is most of what each one takes.
///
/// Looking costs the processor, and on a busy machine it keeps that from the very client whose answer
/// is looked for. So it is done only where the last news came as quickly as that, and each time that
/// it does not pay it is left alone for longer.
struct EagerWait {
    /// How long to look, in nanoseconds.
    private let time: Int64
    private var hasNews = false
    private var cameQuickly = false
    private var began: Int64 = 0
    /// How often it did not pay, with what it paid since set against it.
    private var misses = 0
    /// Waits in which it is left alone.
    private var pause = 0
    private var isLooking = false

    init(for time: Int64) { self.time = time }

    /// Whether a turn that took so long was a look that found nothing. A timer, or whatever else it
    /// may have had to do, that others had to wait for takes longer.
    func hasOnlyLooked(for turn: Int64) -> Bool { isLooking && !hasNews && turn < time }

    /// Something came in.
    mutating func news() { hasNews = true }

    /// The loop would wait now.
    ///
    /// - Returns: whether it is to look again instead.
    mutating func waits(at now: Int64) -> Bool {
        if hasNews {
            hasNews = false
            began = now
            if isLooking { misses = max(0, misses - 1) }
            isLooking = cameQuickly && pause == 0
            if cameQuickly, pause > 0 { pause -= 1 }
        } else if isLooking, now - began >= time {
            isLooking = false
            cameQuickly = false
            misses = min(misses + 2, Self.mostMisses)
            pause = 1 << misses
        }
        return isLooking
    }

    /// So that it is tried again after some thousand waits.
    private static let mostMisses = 12

    /// The loop has waited, or looked.
    mutating func waited(until now: Int64) {
        guard hasNews else { return }
        cameQuickly = now - began < time
    }
}
