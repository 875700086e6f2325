import Glibc
import UVLoop

/// Waits for SIGINT and SIGTERM, and limits the duration of a clean shutdown.
///
/// The first signal starts the shutdown. A second signal ends the process at once. So does a
/// shutdown that takes longer than ``closeTimeout``, so that a hanging disk or peer cannot block
/// it.
struct StopSignals {
    private let thread: LoopThread
    private let shutdown: LoopBound<Shutdown>
    private let signals: AsyncStream<String>
    private let watchdog: Watchdog

    /// The maximum duration of a clean shutdown.
    static let closeTimeout = Duration.seconds(60)

    /// Signals that Go's runtime ignores, and therefore nsqd too. Their default action would end
    /// this process.
    private static let ignored = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO]

    static func ignoreSignalsThatGoIgnores() {
        for number in ignored { signal(number, SIG_IGN) }
    }

    /// Starts to handle SIGINT and SIGTERM. When this method returns, the signals no longer end the
    /// process.
    static func watch() async throws -> StopSignals {
        let thread = try LoopThread(name: "signals")
        let (stream, continuation) = AsyncStream.makeStream(
            of: String.self, bufferingPolicy: .bufferingOldest(1))
        let shutdown: LoopBound<Shutdown> = await withCheckedContinuation { isWatching in
            thread.mailbox.submit { loop in
                let shutdown = Shutdown(on: loop) { continuation.yield($0) }
                for (number, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
                    // Without a handler the signal keeps its default action, which ends the process.
                    _ = try? UVLoop.Signal(number, on: loop) { shutdown.receive(number, name) }
                }
                isWatching.resume(returning: LoopBound(shutdown, on: loop))
            }
        }
        return StopSignals(
            thread: thread, shutdown: shutdown, signals: stream, watchdog: Watchdog())
    }

    /// Begins the shutdown like a signal does, unless a shutdown has begun already.
    ///
    /// - Parameter reason: the text that ``next()`` returns instead of the name of a signal.
    func requestStop(_ reason: String) { shutdown.submit { $0?.begin(reason) } }

    /// Reports to the service manager that the process is ready, and waits for the first signal.
    /// Call this method after all servers of the process have started.
    ///
    /// - Returns: the name of the signal, or `nil` when the task is cancelled.
    func next() async -> String? {
        ServiceManager.current.notifyReady()
        watchdog.start(on: thread)
        for await name in signals { return name }
        return nil
    }

    /// Sets the thread on which progress is reported to the service manager. `submit` runs its
    /// argument on a thread whose hang must be detected, such as the broker's. By default, reports
    /// run on the thread of the signals.
    func reportProgress(
        by submit: @escaping @Sendable (_ report: @escaping @Sendable () -> Void) -> Void
    ) {
        watchdog.submit.withLock { $0 = submit }
    }

    /// Runs `body`. A signal cancels its task, so that it can delete its temporary files.
    ///
    /// - Throws: ``Interruption`` after a signal, as soon as `body` has ended.
    static func run<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let signals = try await watch()
        let run = Task { try await body() }
        let interruption = Task {
            let name = await signals.next()
            if name != nil { run.cancel() }
            return name
        }
        let result = await run.result
        interruption.cancel()
        await signals.stop()
        if let name = await interruption.value { throw Interruption(signal: name) }
        return try result.get()
    }

    /// A signal arrived before the work was complete.
    struct Interruption: Error {
        /// The name of the signal, such as `SIGINT`.
        let signal: String
    }

    /// Stops handling signals.
    func stop() async {
        thread.mailbox.submit { [shutdown] in _ = shutdown.removeValue(on: $0) }
        thread.stop()
        await thread.join()
    }
}

/// Handles the signals, and the timeout of the shutdown that they start, on the loop of
/// ``StopSignals``.
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
        begin(name)
    }

    /// Begins the shutdown, unless it has begun.
    func begin(_ name: String) {
        guard !hasBegun else { return }
        hasBegun = true
        ServiceManager.current.notifyStopping()
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
