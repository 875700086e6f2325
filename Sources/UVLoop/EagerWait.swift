/// Whether a loop with nothing to do looks for news again at once, instead of letting the system
/// wake it: that takes longer than a client close by takes to answer, and with a message at a time
/// it is most of what each one takes.
///
/// Looking costs the processor. So it is done only where the last news came as quickly as that, and
/// given up as soon as it does not pay.
struct EagerWait {
    /// How long to look, in nanoseconds.
    private let time: Int64
    private var hasNews = false
    private var cameQuickly = false
    private var began: Int64 = 0
    private var isLooking = false

    /// It has looked, and found nothing.
    var isIdle: Bool { isLooking && !hasNews }

    init(for time: Int64) { self.time = time }

    /// Something came in.
    mutating func news() { hasNews = true }

    /// The loop would wait now.
    ///
    /// - Returns: whether it is to look again instead.
    mutating func waits(at now: Int64) -> Bool {
        if hasNews {
            hasNews = false
            began = now
            isLooking = cameQuickly
        } else if isLooking, now - began >= time {
            isLooking = false
            cameQuickly = false
        }
        return isLooking
    }

    /// The loop has waited, or looked.
    mutating func waited(until now: Int64) {
        guard hasNews else { return }
        cameQuickly = now - began < time
    }
}
