import UVLoop

/// The thread of one part of the demo: of the producer or of the processor.
final class DemoThread: Sendable {
    /// A function that starts a part on a loop, and returns a closure that reports the part's logs
    /// so far.
    typealias Part =
        @Sendable (DemoRun, Loop, @escaping (DemoRun.Event) -> Void) throws -> () -> Void

    private let thread: LoopThread
    private let reporter: LoopBound<Reporter>

    /// The closure that the part returned.
    private final class Reporter {
        var report: () -> Void = {}
    }

    /// Starts a thread. ``start(_:of:_:)`` then starts the part on it.
    init(named name: String, niceness: Int32 = 0) throws {
        thread = try LoopThread(name: name, niceness: niceness)
        reporter = LoopBound(creatingOn: thread.mailbox) { _ in Reporter() }
    }

    /// Starts the part on the thread's loop.
    func start(
        _ part: @escaping Part, of run: DemoRun,
        _ events: AsyncStream<DemoRun.Event>.Continuation
    ) {
        thread.mailbox.submit { [reporter] loop in
            do {
                reporter.value(on: loop)?.report = try part(run, loop) { events.yield($0) }
            } catch {
                events.yield(.failed(error))
            }
        }
    }

    /// Makes the part report its logs so far.
    func reportLogs() {
        reporter.submit { $0?.report() }
    }

    /// Ends the thread at once.
    func stop() async {
        thread.mailbox.submit { [reporter] loop in _ = reporter.removeValue(on: loop) }
        thread.stop()
        await thread.join()
    }
}
