import Foundation
import HTTP
import Logging
import NSQBroker
import NSQWire
import TallyBasics
import TallyJSON
import UVLoop

/// The HTTP API of nsqadmin: reads and changes the topics, channels and nodes of a cluster.
///
/// Each change is logged, added to ``actionLog``, and posted to the notification endpoint.
package final class AdminAPI: Sendable {
    /// The changes that were made with this API.
    package let actionLog = ActionLog()

    let client: UpstreamClient
    private let shared: LockedValue<(options: AdminOptions, logger: Logger)>
    private let notifier: ActionNotifier?
    /// The base path, `--base-path`. It does not change after the start.
    package let pathPrefix: String

    /// Creates the API.
    ///
    /// - Throws: ``AdminStartError`` if an option is invalid, or if the process has no file descriptors
    ///   or threads left.
    package init(_ options: AdminOptions, logger: Logger) throws(AdminStartError) {
        try options.validate()
        do throws(UVError) {
            client = try UpstreamClient(options.requests)
        } catch {
            throw AdminStartError("\(error)")
        }
        var logger = logger
        logger.logLevel = options.log.level.level
        pathPrefix = options.pathPrefix
        notifier = UpstreamURL.parse(options.notificationEndpoint).map { [client, logger] in
            ActionNotifier(to: $0, client, logger)
        }
        shared = LockedValue((options, logger))
    }

    /// The current options. `PUT /config/…` can change the addresses of the nsqlookupds and the log
    /// level.
    package var options: AdminOptions { shared.withLock { $0.options } }

    /// Changes the addresses of the nsqlookupds.
    func setLookupds(_ addresses: [String]) { shared.withLock { $0.options.lookupds = addresses } }

    /// Changes the level of the log.
    func setLogLevel(_ level: LogLevel) {
        shared.withLock { shared in
            shared.options.log.level = level
            shared.logger.logLevel = level.level
        }
    }

    /// The logger, with the current level.
    package var logger: Logger { shared.withLock { $0.logger } }

    /// A reader of the cluster at the current addresses.
    var reader: ClusterReader {
        let options = options
        return ClusterReader(client, lookupds: options.lookupds, nsqds: options.nsqds)
    }

    private var actions: ClusterActions { ClusterActions(reader: reader) }

    /// Cancels the requests to the cluster and the notifications.
    package func stop() async {
        // The queued notifications are dropped first. The one in progress then fails when the
        // client stops.
        notifier?.cancel()
        await client.stop()
        await notifier?.stop()
    }

    // MARK: Requests

    /// The maximum size of the body of a request in bytes.
    package static let maxBodyBytes = AdminBody.maxBytes

    /// Returns the response to a request, and logs it.
    ///
    /// - Parameter path: the path without the base path; `nil` if the path of the request does not
    ///   start with the base path.
    package func response(to request: HTTPRequest, path: String?) async -> HTTPResponse {
        let start = ContinuousClock.now
        let response = await unloggedResponse(to: request, path: path)
        let time = GoText.duration(nanoseconds: (ContinuousClock.now - start).nanoseconds)
        logger.info(
            "\(response.status) \(request.method) \(request.target.text) (\(request.peer)) \(time)")
        return response
    }

    private func unloggedResponse(to request: HTTPRequest, path: String?) async -> HTTPResponse {
        guard let path else { return .nsqFailure(.notFound) }
        switch AdminRoute.match(method: request.method, path: path) {
        case .route(let route):
            do throws(AdminFailure) {
                guard !route.isChange || isAdmin(request) else { throw .forbidden }
                return try await perform(route, request)
            } catch {
                if error.status == 502 { logger.error("\(error.message)") }
                return .nsqFailure(error)
            }
        case .redirect(let path):
            let match = HTTPRouter<AdminRoute>.Match.redirect(to: pathPrefix + path)
            return .unrouted(match, request)
        case let match: return .unrouted(match, request)
        }
    }

    private func perform(
        _ route: AdminRoute, _ request: HTTPRequest
    ) async throws(AdminFailure) -> HTTPResponse {
        switch route {
        case .ping: return .bare(200, "OK")
        case .topics: return .nsqJSON(try await topics(request))
        case .topic(let topic): return .nsqJSON(try await statistics(of: topic))
        case .channel(let topic, let channel):
            return .nsqJSON(try await statistics(of: channel, topic: topic))
        case .nodes:
            let nodes = try await upstream { reader throws(UpstreamError) in
                try await reader.nodes()
            }
            return .nsqJSON(AdminJSON.nodes(nodes.value, warnings(nodes.warning)))
        case .node(let node): return .nsqJSON(try await statistics(at: node))
        case .counter: return .nsqJSON(try await counter())
        case .graphite: return .nsqJSON(try await rate(request))
        case .render: return try await rendered(request)
        case .option(let name): return try option(name, for: request)
        case .setOption(let name): return try setOption(name, request)
        case .create, .changeTopic, .changeChannel, .deleteTopic, .deleteChannel, .tombstone:
            return .nsqJSON(try await change(route, request))
        }
    }

    /// `true` if the request may change topics, channels or nodes.
    package func isAdmin(_ request: HTTPRequest) -> Bool {
        let options = options
        guard !options.isReadOnly else { return false }
        guard !options.adminUsers.isEmpty else { return true }
        return request.headers[options.userHeader].map(options.adminUsers.contains) ?? false
    }

    /// Reads the cluster, and logs the errors of servers that failed.
    func upstream<Value: Sendable>(
        _ read: @Sendable (ClusterReader) async throws(UpstreamError) -> Partial<Value>
    ) async throws(AdminFailure) -> Partial<Value> {
        do throws(UpstreamError) {
            let partial = try await read(reader)
            if let warning = partial.warning { logger.warning("\(warning)") }
            return partial
        } catch {
            throw .upstream(error)
        }
    }

    func warnings(_ texts: String?...) -> [String] { texts.compactMap(\.self) }

    /// The time in seconds since 1970.
    static var now: Int { Int(Date.now.timeIntervalSince1970) }

    // MARK: Changes

    private func change(
        _ route: AdminRoute, _ request: HTTPRequest
    ) async throws(AdminFailure) -> [UInt8] {
        let changes = try ClusterChange.changes(route, body: request.body)
        var errors: [UpstreamError] = []
        do throws(UpstreamError) {
            errors = try await changes.last!.perform(with: actions)
        } catch {
            for change in changes { record(change, request, failure: "\(error)") }
            throw .upstream(error)
        }
        let warning = errors.isEmpty ? nil : Partial(value: (), errors: errors).warning
        if let warning { logger.warning("\(warning)") }
        for change in changes {
            record(change, request, failure: warning)
            notifier?.send(change, request)
        }
        return AdminJSON.message(warnings(warning))
    }

    /// Publishes a message that a user has entered on the page, at one node.
    ///
    /// - Returns: the reason if the message was not published; `nil` after success.
    package func publish(
        _ body: [UInt8], to topic: TopicName, at node: String, for request: HTTPRequest
    ) async -> String? {
        let change = ClusterChange.publish(message: body, topic: topic.text, node: node)
        let place = "\(change.target) (\(request.peer))"
        var failure: String?
        do throws(UpstreamError) {
            _ = try await change.perform(with: actions)
            logger.info("published a message of \(counted(body.count, "byte")) to \(place)")
            notifier?.send(change, request)
        } catch {
            failure = "\(error)"
            logger.error("failed to publish to \(place) - \(error)")
        }
        record(change, request, failure: failure)
        return failure
    }

    /// Logs a change that a server has made, and notifies the endpoint.
    func didChange(_ change: ClusterChange, _ request: HTTPRequest) {
        record(change, request, failure: nil)
        notifier?.send(change, request)
    }

    func record(_ change: ClusterChange, _ request: HTTPRequest, failure: String?) {
        actionLog.append(
            change.verb, change.target, by: user(of: request), failure: failure)
    }

    private func user(of request: HTTPRequest) -> String {
        request.headers[options.userHeader] ?? request.basicUser ?? ""
    }
}

extension HTTPResponse {
    fileprivate static func nsqFailure(_ failure: AdminFailure) -> HTTPResponse {
        .nsqFailure(failure.status, failure.message)
    }
}
