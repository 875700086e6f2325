import HTTP
import NSQJobs
import TallyJSON
import UVLoop

/// The HTTP routes of background jobs: the page, its event stream, and the API.
///
/// The server checks the host name of a request before it calls these routes. The routes refuse
/// changes that a browser requests from a page of another origin.
final class JobsRoutes: HTTPService {
    /// The maximum size of a request's body in bytes.
    static let maxBodyBytes = 4 << 20

    /// The maximum total size of the request bodies that a server has received but not yet
    /// processed, in bytes.
    static let maxBytesOfBodies = 16 * maxBodyBytes

    /// The memory limit for request bodies; every server with these routes has to set it.
    static var bodyBudget: HTTPBodyBudget {
        HTTPBodyBudget(
            maxBytes: maxBytesOfBodies,
            refusal: .failure(503, "too many bodies of requests at the same time; try again later"))
    }

    private struct Reference {
        weak var routes: JobsRoutes?
    }

    private let page: JobsMonitor
    private let loop: Loop
    private let isBesideVideos: Bool
    private var hasTopics = false
    private var listener: Int?
    private lazy var events = EventStream(
        runID: String(page.startedAtMilliseconds, radix: 36),
        EventStream.Limits(
            subscribers: PageSettings().maxJobSubscribers,
            logBytes: PageSettings().maxEventLogBytes,
            keepAlive: PageSettings().keepAliveInterval), on: loop,
        encodeState: { [unowned self] in encodeState() })

    /// - Parameter isBesideVideos: `true` if the server also has the videos page.
    init(_ page: JobsMonitor, isBesideVideos: Bool, on loop: Loop) {
        self.page = page
        self.loop = loop
        self.isBesideVideos = isBesideVideos
        events.start()
        let reference = LoopBound(Reference(routes: self), on: loop)
        listener = page.addListener { update in
            reference.submit { $0?.routes?.receive(update) }
        }
    }

    /// Shows the links to the pages of topics and nodes.
    func setHasTopics() {
        hasTopics = true
        events.sendState()
    }

    /// Stops the event stream. The HTTP server ends the responses.
    func stop() {
        if let listener { page.removeListener(listener) }
        events.stop()
    }

    /// Returns `true` for the paths of these routes.
    static func includes(_ path: String) -> Bool {
        path == "/jobs" || path.hasPrefix("/jobs/") || JobsAPIRequest.includes(path)
    }

    // MARK: Events

    private func receive(_ update: JobsMonitor.Update) {
        guard events.acceptsSubscribers || events.subscriberCount > 0 else { return }
        events.discardState()
        var batch = events.makeBatch()
        switch update {
        case .changed(let json): batch.append("update", json)
        case .ended(let reason): batch.append("end", PageJSON.end(reason))
        }
        // Events are recorded even while no browser is connected, for browsers that reconnect. The
        // log's size is bounded.
        events.append(batch)
        events.sendAppended()
    }

    private func encodeState() -> [UInt8] {
        JobsPageJSON.state(
            page.state, started: page.startedAtMilliseconds, isBesideVideos: isBesideVideos,
            hasTopics: hasTopics, now: page.jobs.now())
    }

    // MARK: Requests

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard !request.isChange || !request.isFromForeignPage else {
            return .refuse(.failure(403, "a page of another site must not change jobs"))
        }
        guard request.target.path != "/jobs/events" || request.isChange else {
            return events.bodyPlan(for: request)
        }
        return .collect(
            limit: Self.maxBodyBytes,
            tooLarge: .failure(413, "the body has more than \(Self.maxBodyBytes) bytes"))
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        do throws(JobsAPIRequest.Refusal) {
            if request.target.path == "/jobs" {
                try JobsAPIRequest.require("GET", request)
                return respond(PageFiles.jobs)
            }
            let operation = try JobsAPIRequest(request, at: page.jobs.now())
            self.respond(on: loop, respond) { [page] in await operation.response(from: page) }
        } catch {
            var response = HTTPResponse.failure(error.status, error.reason)
            if let allowed = error.allowed { response.headers.append(("Allow", allowed)) }
            respond(response)
        }
    }
}
