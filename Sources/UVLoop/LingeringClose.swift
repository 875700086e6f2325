/// Closes a connection so that the peer can still read the last response.
///
/// When a process closes a socket that holds unread bytes, the kernel sends a TCP reset, and the peer
/// may receive the reset before the last response. This class therefore first shuts down the write
/// side. Reading then continues until the peer closes its side or the timeout expires. The stream's
/// reader must discard the bytes, and close the stream at end of file.
package final class LingeringClose {
    private let stream: Stream
    private let timeout: Duration
    private let onTimeout: () -> Void
    private var timer: Timer?
    private var hasBegun = false

    /// Creates a lingering close of `stream`, which starts with ``begin()``.
    ///
    /// - Parameters:
    ///   - timeout: the time within which the peer must close its side, 1 s by default.
    ///   - onTimeout: runs when the timeout expires; the owner closes the stream.
    package init(
        _ stream: Stream, timeout: Duration = .seconds(1), onTimeout: @escaping () -> Void
    ) {
        self.stream = stream
        self.timeout = timeout
        self.onTimeout = onTimeout
    }

    /// Shuts down the write side after all queued bytes are written, resumes reading, and starts
    /// the timeout. Further calls do nothing.
    package func begin() {
        guard !hasBegun else { return }
        hasBegun = true
        stream.shutdown()
        stream.startReading()
        startTimeout()
    }

    /// Starts the timeout without shutting down the write side, while bytes for the peer are still
    /// queued. Further calls do not restart the timeout.
    package func startTimeout() {
        guard timer == nil else { return }
        let timer = Timer(on: stream.loop)
        self.timer = timer
        timer.start(after: timeout, onTimeout)
    }

    /// Stops the timeout, because the owner has closed the stream.
    package func cancel() {
        timer?.close()
    }
}
