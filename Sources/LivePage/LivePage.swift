import PlayCounts
import TallyBasics
import UVLoop

/// The page that shows the counts live, on a thread of its own.
///
/// ```
/// PlayProcessor ──▶ UpdateQueue (locked) ──▶ PageServer ──▶ EventLog ──▶ EventSubscriber …
///  its own loop                               the page's loop
/// ```
///
/// The processor only appends to the queue and never waits for the page, so slow browsers cannot
/// delay counting.
package final class LivePage: Sendable {
    /// The bound address, with the port that the kernel assigned if port 0 was requested.
    package let address: SocketAddress

    private let host: LoopHost<PageServer>
    private let updates: LockedValue<UpdateQueue>

    /// The URL of the page.
    package var url: String { "http://\(address)/videos" }

    /// The URL of the page of topics; see ``add(_:)``.
    package var topicsURL: String { "http://\(address)/topics" }

    /// The URL of the page of background jobs; see ``add(_:)``.
    package var jobsURL: String { "http://\(address)/jobs" }

    /// Starts the page, which accepts connections when this method returns.
    ///
    /// - Parameter totals: the counts in the store before the processor starts.
    /// - Throws: `UVError` if the address cannot be bound, or the process has no file descriptors or
    ///   threads left.
    package static func start(
        at address: SocketAddress, totals: [PlayCount],
        settings: PageSettings = PageSettings()
    ) async throws -> LivePage {
        let updates = LockedValue(UpdateQueue(of: settings))
        // The page's thread has a lower priority, because counting is more important than display.
        let (host, bound) = try await LoopHost.start(threadName: "page", niceness: 10) { loop in
            let server = PageServer(settings, totals: totals, on: loop) {
                updates.withLock { $0.removeUpdate() }
            }
            return (server, try server.listen(at: address))
        }
        return LivePage(at: bound, on: host, updates: updates)
    }

    private init(
        at address: SocketAddress, on host: LoopHost<PageServer>,
        updates: LockedValue<UpdateQueue>
    ) {
        self.address = address
        self.host = host
        self.updates = updates
    }

    /// Sends the last update to all browsers, closes their connections, and ends the thread.
    ///
    /// - Parameter reason: why the run ends, as a sentence for the page; `nil` if unknown.
    package func stop(reason: String? = nil) async {
        if let reason { host.submit { $0?.setStopReason(reason) } }
        await host.stop()
    }
}

extension PageServer: LoopHosted {}

// MARK: - The processor's side

extension LivePage {
    /// Returns the page as a client of the processor, on the processor's loop. The page accepts
    /// every call at once. The store keeps no state for this client, because the page starts with
    /// all totals of the store.
    package func client(on loop: Loop) -> Client {
        Client("page", sink: sink(on: loop), isRemembered: false)
    }

    /// Returns a sink that shows calls on the page.
    ///
    /// - Parameter client: the sink that receives the calls. The page shows only calls that this
    ///   sink accepts; without a sink, the page shows all calls.
    package func sink(on loop: Loop, showing client: (any Sink)? = nil) -> any Sink {
        PageSink(self, on: loop, showing: client)
    }

    /// Observes the commits of a processor, from which the page computes the minimum number of
    /// calls. Also observes errors of the store, and reads the processor's metrics.
    ///
    /// Call this method on the processor's loop, after the processor's own observer is set: the
    /// page calls that observer first.
    package func observe(_ processor: PlayProcessor) {
        let reader = processor.metricsReader
        setMetricsSource { reader.read($0) }
        let observer = processor.observer
        processor.observer.committed = { [self, weak processor] changes, instant in
            observer.committed(changes, instant)
            guard !changes.isEmpty else { return }
            let counted = processor?.statistics.counted ?? 0
            appendToQueue { $0.append(changes, at: instant, counted: counted) }
        }
        processor.observer.storeChanged = { [self] error in
            observer.storeChanged(error)
            setProblem(error.map { "\($0)" })
        }
    }

    func setMetricsSource(_ source: @escaping ProcessorMonitor.Source) {
        host.submit { $0?.monitor.source = source }
    }

    /// Changes the shown origin of the plays and the shown command line that publishes plays. Used
    /// if they become known only after the start of the page.
    package func setSource(of settings: PageSettings) {
        host.submit { $0?.setSource(settings.source, produceCommand: settings.produceCommand) }
    }

    /// Serves the page of background jobs at `/jobs`, with its API.
    package func add(_ jobs: JobsMonitor) {
        host.submit { $0?.addJobs(jobs) }
    }

    /// Serves the pages of topics and nodes at `/topics` and `/nodes`, with their API.
    package func add(_ topics: TopicsPage) {
        host.submit { $0?.addTopics(topics) }
    }

    /// Shows the verdict of a run that has ended.
    package func setVerdict(_ verdict: Verdict) {
        host.submit { $0?.setVerdict(verdict) }
    }

    /// Shows why no plays are counted at present; `nil` if counting works.
    package func setProblem(_ problem: String?) {
        host.submit { $0?.setProblem(problem) }
    }

    /// Shows the depth of the processor's channel on the page; `nil` if the depth is unknown.
    package func setQueueState(_ queue: ChannelDepth?) {
        host.submit { $0?.setQueueState(queue) }
    }

    fileprivate func append(_ call: Call, at instant: MonotonicInstant) {
        appendToQueue { $0.append(call, at: instant) }
    }

    private func appendToQueue(_ append: (inout UpdateQueue) -> Void) {
        let wasEmpty = updates.withLock { updates in
            defer { append(&updates) }
            return updates.isEmpty
        }
        // If the queue was not empty, an update is already scheduled, and it will contain this
        // change.
        if wasEmpty { host.submit { $0?.scheduleUpdate() } }
    }
}

/// Passes calls to a client's sink, and shows the accepted calls on the page.
private final class PageSink: Sink {
    private let page: LivePage
    private let loop: Loop
    private let client: (any Sink)?

    init(_ page: LivePage, on loop: Loop, showing client: (any Sink)?) {
        self.page = page
        self.loop = loop
        self.client = client
    }

    func send(_ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void) {
        guard let client else {
            page.append(call, at: loop.instant)
            return completion(.success(()))
        }
        client.send(call) { [page, loop] outcome in
            if case .success = outcome { page.append(call, at: loop.instant) }
            completion(outcome)
        }
    }

    func close() { client?.close() }
}
