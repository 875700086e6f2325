import Glibc
import UVLoop

/// SIGINT and SIGTERM, as something to wait for.
struct StopSignals {
    private let thread: LoopThread
    private let signals: AsyncStream<String>

    /// When this returns, the two signals no longer end the process by themselves.
    static func watch() async throws -> StopSignals {
        let thread = try LoopThread(name: "signals")
        let (stream, continuation) = AsyncStream.makeStream(
            of: String.self, bufferingPolicy: .bufferingOldest(2))
        await withCheckedContinuation { isWatching in
            thread.door.submit { loop in
                for (number, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
                    // Without a handler the signal keeps its usual effect, which is to end us.
                    _ = try? UVLoop.Signal(number, on: loop) { continuation.yield(name) }
                }
                isWatching.resume()
            }
        }
        return StopSignals(thread: thread, signals: stream)
    }

    /// Waits for the next one.
    ///
    /// - Returns: its name.
    func next() async -> String? {
        for await name in signals { return name }
        return nil
    }

    func stop() {
        thread.stop()
        thread.join()
    }
}
