import HTTP
import NSQAdmin
import NSQWire
import TallyJSON
import UVLoop

/// The routes of the pages of topics and nodes: the pages, their event stream, and `/api/live/…`,
/// which only these pages use. All other requests are passed to ``AdminAPI``, which implements
/// nsqadmin's API.
final class TopicsRoutes {
    private struct Reference {
        weak var routes: TopicsRoutes?
    }

    private let api: AdminAPI
    private let monitor: ClusterMonitor
    private let details: ChannelDetails
    private let loop: Loop
    private let started: Int
    private let html: HTTPResponse
    private var listener: Int?
    /// The other pages of the server, to which the pages have links.
    var otherPages: OtherPages

    /// The pages that a server can have besides those of topics and nodes.
    struct OtherPages {
        var hasVideos = false
        var hasJobs = false
    }

    private lazy var events = EventStream(
        runID: String(started, radix: 36),
        EventStream.Limits(
            subscribers: Self.maxSubscribers, logBytes: PageSettings().maxEventLogBytes,
            keepAlive: PageSettings().keepAliveInterval), on: loop,
        encodeState: { [unowned self] in encodeUpdate() },
        subscribersChanged: { [monitor] in monitor.setWatched($0 > 0) })

    /// The maximum number of connected browsers.
    private static let maxSubscribers = 256
    /// The path of the event stream.
    private static let eventsPath = "/api/live/events"

    /// - Parameter pages: the other pages of the server.
    init(_ page: TopicsPage, beside pages: OtherPages, on loop: Loop) {
        api = page.api
        monitor = page.monitor
        self.loop = loop
        otherPages = pages
        details = ChannelDetails(api)
        started = Int(loop.wallClockNanoseconds / 1_000_000)
        html = PageFiles.topics(base: api.pathPrefix)
        events.start()
        let reference = LoopBound(Reference(routes: self), on: loop)
        listener = monitor.addListener { update in
            reference.submit { $0?.routes?.receive(update) }
        }
    }

    /// Stops the event stream. The HTTP server ends the responses.
    func stop() {
        if let listener { monitor.removeListener(listener) }
        events.stop()
    }

    // MARK: Events

    private func receive(_ update: ClusterMonitor.Update) {
        events.discardState()
        var batch = events.makeBatch()
        switch update {
        case .changed: batch.append("update", encodeUpdate())
        case .ended: batch.append("end", PageJSON.end(nil))
        }
        events.append(batch)
        events.sendAppended()
    }

    private func encodeUpdate() -> [UInt8] {
        TopicsJSON.update(monitor.snapshot, api.actionLog.entries, started: started)
    }

    // MARK: Requests

    /// Returns `true` for the paths that a server with other pages passes to these routes. These
    /// are the paths of the pages and of the API, without the root and without the routes that only
    /// a separate nsqadmin has.
    static func includes(_ path: String) -> Bool {
        (isPage(path) && path != "/")
            || ["/api/topics", "/api/nodes", "/api/counter"].contains { prefix in
                path == prefix || path.hasPrefix("\(prefix)/")
            }
            || path.hasPrefix("/api/live/")
    }

    /// - Parameter path: the path without the base path; `nil` if the path of the request does not
    ///   start with the base path.
    func bodyPlan(for request: HTTPRequest, path: String?) -> HTTPBodyPlan {
        guard !request.isChange || !request.isFromForeignPage else {
            return .refuse(.failure(.foreignOrigin))
        }
        if request.method == "GET", path == Self.eventsPath {
            return events.bodyPlan(for: request)
        }
        return .collect(
            limit: AdminAPI.maxBodyBytes, tooLarge: .nsqFailure(413, "INVALID_VALUE"))
    }

    /// - Parameter path: the path without the base path; `nil` if the path of the request does not
    ///   start with the base path.
    func respond(
        to request: HTTPRequest, path: String?, of service: some HTTPService,
        _ respond: @escaping (HTTPResponse) -> Void
    ) {
        if let path, let response = response(to: request, path: path) {
            return respond(response)
        }
        if let path, let operation = operation(for: request, path: path) {
            return service.respond(on: loop, respond, with: operation)
        }
        service.respond(on: loop, respond) { [api] in
            await api.response(to: request, path: path)
        }
    }

    /// Returns a response that needs no request to the cluster: a page, a file, or data of the last
    /// poll.
    ///
    /// - Parameter path: the path without the base path.
    /// - Returns: `nil` for other paths.
    private func response(to request: HTTPRequest, path: String) -> HTTPResponse? {
        let isReading = request.method == "GET" || request.method == "HEAD"
        if isReading, Self.isPage(path) { return html }
        if isReading, let file = PageFiles.response(for: path) { return file }
        let parts = Self.liveParts(path)
        guard let parts, isReading else { return nil }
        guard let query = HTTPQuery(parsing: request.target.query) else {
            return .failure(400, "malformed query string")
        }
        do throws(BadArgument) {
            return try response(parts, query, request)
        } catch {
            return .failure(400, error.description)
        }
    }

    /// `true` for the paths of the pages of topics and nodes.
    private static func isPage(_ path: String) -> Bool {
        let parts = path.split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false)
        switch (parts.count, parts[1]) {
        case (2, ""), (2, "topics"), (2, "nodes"), (2, "counter"), (2, "lookup"): return true
        case (3, "topics"), (3, "nodes"), (4, "topics"): return !parts[2...].contains("")
        default: return false
        }
    }

    /// The components of a path after `/api/live/`; `nil` for other paths.
    private static func liveParts(_ path: String) -> [String]? {
        guard path.hasPrefix("/api/live/") else { return nil }
        return path.dropFirst("/api/live/".count)
            .split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
    }

    private func response(
        _ parts: [String], _ query: HTTPQuery, _ request: HTTPRequest
    ) throws(BadArgument) -> HTTPResponse? {
        let snapshot = monitor.snapshot
        let range = try Self.range(query)
        switch (parts.count, parts[0]) {
        case (1, "session"):
            return .json(
                TopicsJSON.session(isAdmin: api.isAdmin(request), api.options, otherPages))
        case (1, "points"): return .json(TopicsJSON.points(monitor.points(of: .cluster, range)))
        case (1, "topics"):
            let page = try TopicListQuery(query).page(of: snapshot.topics)
            return .json(TopicsJSON.list(page, of: snapshot.topics.count))
        case (2, "topics"):
            guard let topic = snapshot.topic(named: parts[1]) else {
                return .failure(404, "unknown topic")
            }
            let points = monitor.points(of: .topic(topic.name), range)
            return .json(TopicsJSON.topic(topic, points))
        case (1, "nodes"): return .json(TopicsJSON.nodes(snapshot))
        case (2, "nodes"):
            guard let node = snapshot.nodes.first(where: { $0.info.httpAddress == parts[1] })
            else { return .failure(404, "unknown node") }
            return .json(TopicsJSON.node(node, in: snapshot))
        case (1, "lookup"):
            return .json(TopicsJSON.lookup(snapshot, lookupds: api.options.lookupds))
        default: return nil
        }
    }

    private static func range(
        _ query: HTTPQuery
    ) throws(BadArgument) -> ClusterHistory.Resolution {
        switch query["range"] {
        case nil, "minutes": return .minutes
        case "day": return .day
        default: throw BadArgument(description: "range must be minutes or day")
        }
    }

    // MARK: Requests that need other requests to nodes

    /// Returns an operation that sends requests to nodes to make the response.
    ///
    /// - Returns: `nil` for other paths.
    private func operation(
        for request: HTTPRequest, path: String
    ) -> (@Sendable () async -> HTTPResponse)? {
        guard let parts = Self.liveParts(path) else { return nil }
        let messages = MessagesRoutes(api: api, monitor: monitor)
        if let operation = messages.operation(for: request, parts: parts) { return operation }
        guard parts.count == 3, parts[0] == "topics" else { return nil }
        let (topic, name) = (parts[1], parts[2])
        if request.method == "POST", name == "publish" {
            return { [api, monitor] in await Self.publish(request, topic, api, monitor) }
        }
        guard request.method == "GET", let query = HTTPQuery(parsing: request.target.query),
            let range = try? Self.range(query)
        else { return nil }
        return { [monitor, details] in await Self.channel(name, topic, range, monitor, details) }
    }

    private static func channel(
        _ name: String, _ topicName: String, _ range: ClusterHistory.Resolution,
        _ monitor: ClusterMonitor, _ details: ChannelDetails
    ) async -> HTTPResponse {
        let snapshot = monitor.snapshot
        guard let topic = snapshot.topic(named: topicName),
            let channel = topic.channels.first(where: { $0.name == name })
        else { return .failure(404, "unknown channel") }
        let addresses = Set((topic.statistics.nodes ?? []).map(\.node))
        let nodes = snapshot.nodes.map(\.info).filter { addresses.contains($0.httpAddress) }
        let detail = await details.detail(of: name, topic: topicName, at: nodes)
        let points = monitor.points(of: .channel(topic: topicName, channel: name), range)
        return .json(TopicsJSON.channel(channel, detail, points))
    }

    /// Publishes a message at the requested node. By default, this is a node that has the topic, or
    /// any reachable node if no node has the topic.
    private static func publish(
        _ request: HTTPRequest, _ name: String, _ api: AdminAPI, _ monitor: ClusterMonitor
    ) async -> HTTPResponse {
        guard api.isAdmin(request) else { return .failure(403, "only admins may publish") }
        guard let topic = TopicName(name) else { return .failure(400, "invalid topic name") }
        guard let json = try? JSONValue(parsingStrictly: request.body, maxDepth: 2),
            let message = json["message"].flatMap({ String(json: $0) }), !message.isEmpty
        else { return .failure(400, "the member message must be a text that is not empty") }
        let snapshot = monitor.snapshot
        let reachable = snapshot.nodes.filter(\.hasResponded).map(\.info.httpAddress)
        let known = snapshot.topic(named: name)?.statistics.nodes?.map(\.node) ?? reachable
        let asked = json["node"].flatMap { String(json: $0) } ?? known.first
        guard let node = asked, reachable.contains(node) else {
            return .failure(400, "the node is not reachable")
        }
        let failure = await api.publish(Array(message.utf8), to: topic, at: node, for: request)
        if let failure { return .failure(502, failure) }
        return .json(JSONWriter.object { $0.member("node", node) })
    }
}
