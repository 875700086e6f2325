import Glibc
import UVLoop

/// Waits for SIGINT and SIGTERM, and limits the duration of a clean shutdown.
///
/// The first signal starts the shutdown. A second signal ends the process at once, and so does the
/// end of ``closeTimeout`` after the first signal, so that a hanging disk or peer cannot block the
/// shutdown.
struct StopSignals {
    private let thread: LoopThread
    private let signals: AsyncStream<String>

    /// The maximum duration of a clean shutdown.
    static let closeTimeout = Duration.seconds(60)

    /// The signals that Go's runtime, and therefore nsqd, ignores; their default action would end
    /// this process.
    private static let ignored = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO]

    static func ignoreOthers() {
        for number in ignored { signal(number, SIG_IGN) }
    }

    /// Starts to handle SIGINT and SIGTERM before it returns.
    static func watch() async throws -> StopSignals {
        let thread = try LoopThread(name: "signals")
        let (stream, continuation) = AsyncStream.makeStream(
            of: String.self, bufferingPolicy: .bufferingOldest(1))
        await withCheckedContinuation { isWatching in
            thread.mailbox.submit { loop in
                let shutdown = Shutdown(on: loop) { continuation.yield($0) }
                for (number, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
                    // Without a handler the signal keeps its default action, which ends the process.
                    _ = try? UVLoop.Signal(number, on: loop) { shutdown.receive(number, name) }
                }
                isWatching.resume()
            }
        }
        return StopSignals(thread: thread, signals: stream)
    }

    /// Waits for the first signal.
    ///
    /// - Returns: the name of the signal, or `nil` when the task is canceled.
    func next() async -> String? {
        for await name in signals { return name }
        return nil
    }

    /// Stops handling signals.
    func stop() async {
        thread.stop()
        await thread.join()
    }
}

/// Handles the signals and the timeout of one shutdown, on the loop of ``StopSignals``.
private final class Shutdown {
    private let timer: Timer
    private let onFirst: (String) -> Void
    private var hasBegun = false

    init(on loop: Loop, onFirst: @escaping (String) -> Void) {
        timer = Timer(on: loop)
        self.onFirst = onFirst
    }

    func receive(_ number: Int32, _ name: String) {
        guard !hasBegun else {
            return end(128 + number, "\(name) received twice: stopping without a clean shutdown")
        }
        hasBegun = true
        timer.start(after: StopSignals.closeTimeout) { [self] in
            end(1, "the shutdown took longer than \(StopSignals.closeTimeout): stopping now")
        }
        onFirst(name)
    }

    private func end(_ status: Int32, _ reason: String) {
        StandardError.print(reason)
        StandardError.flush()
        _exit(status)
    }
}
