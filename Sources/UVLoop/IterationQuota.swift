/// Limits the bytes that each stream may process in one loop iteration, so that all streams
/// progress.
///
/// All active streams together process about `totalBytes` per iteration. The share of a stream is
/// never below `minimumBytes`, because smaller reads need too many system calls. The first iteration
/// of a burst may exceed `totalBytes` several times, because each stream registers only when its
/// first bytes arrive.
package struct IterationQuota {
    private let totalBytes: Int
    private let minimumBytes: Int
    private var iteration = 0
    private var streams = 0
    private var streamsBefore = 0

    /// Creates a quota of `totalBytes` per loop iteration, and of at least `minimumBytes` per
    /// stream.
    package init(totalBytes: Int, minimumBytes: Int) {
        self.totalBytes = totalBytes
        self.minimumBytes = minimumBytes
    }

    /// The number of bytes that each registered stream may process in this iteration. The number
    /// decreases as more streams register. It is computed for at least as many streams as in the
    /// previous iteration.
    package var bytesPerStream: Int {
        max(minimumBytes, totalBytes / max(1, streams, streamsBefore))
    }

    /// Registers one stream for the current loop iteration.
    ///
    /// - Parameter iteration: the value of ``Loop/iteration``.
    package mutating func register(in iteration: Int) {
        if iteration != self.iteration {
            streamsBefore = iteration == self.iteration + 1 ? streams : 0
            streams = 0
            self.iteration = iteration
        }
        streams += 1
    }
}
