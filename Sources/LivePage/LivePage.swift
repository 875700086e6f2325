import PlayCounts
import UVLoop

/// The page that shows the counts live, on a thread of its own.
///
/// ```
/// PlayProcessor ──▶ NewsDesk, behind a lock ──door──▶ PageServer ──▶ EventLog ──▶ Browser, Browser, …
/// ```
///
/// The processor only leaves word of its calls and batches; nothing that a browser does, or a
/// thousand of them do, can make it wait.
package final class LivePage: Sendable {
    /// Where it listens.
    package let address: SocketAddress

    private let thread: LoopThread
    private let server: LoopBound<PageServer>
    private let desk: Guarded<NewsDesk>

    package var url: String { "http://\(address)/videos" }

    /// Starts it; it takes browsers when this returns.
    ///
    /// - Parameter totals: what the store holds before the processor begins.
    /// - Throws: `UVError`, `EADDRINUSE` above all.
    package static func start(
        at address: SocketAddress, totals: [PlayCount],
        settings: PageSettings = PageSettings()
    ) async throws -> LivePage {
        // It goes last where there are more threads to run than processors.
        let thread = try LoopThread(name: "page", niceness: 10)
        let desk = Guarded(NewsDesk(of: settings))
        do {
            let (bound, server) = try await withCheckedThrowingContinuation { continuation in
                thread.door.submit { loop in
                    continuation.resume(
                        with: Result {
                            let server = PageServer(settings, totals: totals, on: loop) {
                                desk.withLock { $0.take() }
                            }
                            return (try server.listen(at: address), LoopBound(server, on: loop))
                        })
                }
            }
            return LivePage(at: bound, thread: thread, server: server, desk: desk)
        } catch {
            thread.stop()
            thread.join()
            throw error
        }
    }

    private init(
        at address: SocketAddress, thread: LoopThread, server: LoopBound<PageServer>,
        desk: Guarded<NewsDesk>
    ) {
        self.address = address
        self.thread = thread
        self.server = server
        self.desk = desk
    }

    /// Tells the browsers what is left to tell, hangs up on them, and ends the thread.
    package func stop() async {
        await withCheckedContinuation { continuation in
            let isOpen = server.submit { [thread] server in
                guard let server else { return continuation.resume() }
                server.stop {
                    withExtendedLifetime(server) {}
                    thread.stop()
                    continuation.resume()
                }
            }
            if !isOpen { continuation.resume() }
        }
        thread.join()
    }
}

// MARK: - The processor's side

extension LivePage {
    /// The page as a client of its own, on the processor's loop: it takes every call at once, and
    /// what it has taken is not remembered, for it begins with all there is.
    package func client(on loop: Loop) -> Client {
        Client("page", sink: sink(on: loop), isRemembered: false)
    }

    /// Shows every call that it takes.
    ///
    /// - Parameter client: takes the calls first, and the page shows those it took; without one
    ///   the page takes them all.
    package func sink(on loop: Loop, showing client: (any Sink)? = nil) -> any Sink {
        PageSink(self, on: loop, showing: client)
    }

    /// Compares the calls with what the batches of this processor would need. To be called on its
    /// loop, once its observer is set: whoever observes already goes on to.
    package func watch(_ processor: PlayProcessor) {
        let observer = processor.observer
        processor.observer.committed = { [self, weak processor] changes, instant in
            observer.committed(changes, instant)
            committed(changes, at: instant, counted: processor?.statistics.counted ?? 0)
        }
    }

    /// What the processor's channel holds at its broker; `nil` if that is not known.
    package func queueIs(_ queue: QueueState?) {
        server.submit { $0?.queueIs(queue) }
    }

    fileprivate func called(_ call: Call, at instant: Instant) {
        knock(
            desk.withLock { desk in
                defer { desk.called(call, at: instant) }
                return desk.isEmpty
            })
    }

    private func committed(_ changes: [CountChange], at instant: Instant, counted: Int) {
        knock(
            desk.withLock { desk in
                defer { desk.committed(changes, at: instant, counted: counted) }
                return desk.isEmpty
            })
    }

    /// The first piece of news brings the page to take all that there is when it comes to it.
    private func knock(_ isFirst: Bool) {
        if isFirst { server.submit { $0?.newsCame() } }
    }
}

/// What the page looks like to a publisher.
private final class PageSink: Sink {
    private let page: LivePage
    private let loop: Loop
    private let client: (any Sink)?

    init(_ page: LivePage, on loop: Loop, showing client: (any Sink)?) {
        self.page = page
        self.loop = loop
        self.client = client
    }

    func send(_ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void) {
        guard let client else {
            page.called(call, at: loop.instant)
            return answer(.success(()))
        }
        client.send(call) { [page, loop] outcome in
            if case .success = outcome { page.called(call, at: loop.instant) }
            answer(outcome)
        }
    }

    func close() { client?.close() }
}
