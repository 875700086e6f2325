/// Limits the bytes that each stream may process in one loop iteration, so that all streams
/// progress.
///
/// All active streams together process about `totalBytes` per iteration. Each stream may process at
/// least `minimumBytes`, because smaller reads cost more system calls than they save latency. The
/// first iteration of a burst may exceed `totalBytes` several times, because each stream registers
/// only when its first bytes arrive.
package struct IterationQuota {
    private let totalBytes: Int
    private let minimumBytes: Int
    private var iteration = 0
    private var members = 0
    private var membersBefore = 0

    /// Creates a quota of `totalBytes` per loop iteration, and of at least `minimumBytes` per
    /// stream.
    package init(totalBytes: Int, minimumBytes: Int) {
        self.totalBytes = totalBytes
        self.minimumBytes = minimumBytes
    }

    /// The number of bytes that each registered stream may process in this iteration. It shrinks as
    /// more streams register, and it assumes at least as many streams as in the previous iteration.
    package var bytesPerMember: Int {
        max(minimumBytes, totalBytes / max(1, members, membersBefore))
    }

    /// Registers one stream for the current loop iteration.
    ///
    /// - Parameter iteration: the value of ``Loop/iteration``.
    package mutating func register(in iteration: Int) {
        if iteration != self.iteration {
            membersBefore = iteration == self.iteration + 1 ? members : 0
            members = 0
            self.iteration = iteration
        }
        members += 1
    }
}
