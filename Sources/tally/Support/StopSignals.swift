import Glibc
import UVLoop

/// SIGINT and SIGTERM, as something to wait for.
struct StopSignals {
    private let thread: LoopThread
    private let signals: AsyncStream<String>

    /// From here on the two signals no longer end the process by themselves.
    init() throws {
        let (stream, continuation) = AsyncStream.makeStream(
            of: String.self, bufferingPolicy: .bufferingOldest(2))
        thread = try LoopThread(name: "signals")
        signals = stream
        thread.door.submit { loop in
            for (number, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
                // Without a handler the signal keeps its usual effect, which is to end us.
                _ = try? UVLoop.Signal(number, on: loop) { continuation.yield(name) }
            }
        }
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
