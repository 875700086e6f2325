import Foundation
import HTTP
import Logging
import TallyJSON
import UVLoop

/// Posts a notification about each change to a URL, one notification at a time. A change does not
/// wait for its notification.
final class ActionNotifier: Sendable {
    private let bodies: AsyncStream<[UInt8]>.Continuation
    private let task: Task<Void, Never>
    private let logger: Logger

    /// The maximum number of notifications in the queue; further ones are dropped.
    private static let maxWaiting = 1_000

    init(to url: HTTPURL, _ client: UpstreamClient, _ logger: Logger) {
        self.logger = logger
        let (stream, continuation) = AsyncStream.makeStream(
            of: [UInt8].self, bufferingPolicy: .bufferingOldest(Self.maxWaiting))
        bodies = continuation
        task = Task {
            for await body in stream {
                logger.info("POSTing notification to \(url)")
                do throws(UpstreamError) {
                    try await client.post(json: body, to: url)
                } catch {
                    logger.error("failed to POST notification - \(error)")
                }
            }
        }
    }

    /// Drops the queued notifications. A request in progress continues.
    func cancel() {
        task.cancel()
        bodies.finish()
    }

    /// Drops the queued notifications, and returns when the request in progress has ended.
    func stop() async {
        cancel()
        await task.value
    }

    func send(_ change: ClusterChange, _ request: HTTPRequest) {
        if case .dropped = bodies.yield(Self.json(of: change, request)) {
            logger.error("a notification is dropped: \(Self.maxWaiting) others wait")
        }
    }

    private static func json(of change: ClusterChange, _ request: HTTPRequest) -> [UInt8] {
        JSONWriter.object { json in
            json.member("action", change.notificationName)
            json.member("topic", change.topic)
            if let channel = change.channel { json.member("channel", channel) }
            if let node = change.node { json.member("node", node) }
            json.member("timestamp", AdminAPI.now)
            if let user = request.basicUser, !user.isEmpty { json.member("user", user) }
            json.member("remote_ip", request.peer)
            json.member("user_agent", request.headers["User-Agent"] ?? "")
            json.member("url", request.url)
            json.member("via", System.hostname)
        }
    }
}

extension HTTPRequest {
    /// The URL that the client has requested. The scheme is `https` also if a proxy terminated TLS
    /// and set `X-Scheme`.
    fileprivate var url: String {
        let isSecure = isEncrypted || headers["X-Scheme"] == "https"
        return "\(isSecure ? "https" : "http")://\(headers["Host"] ?? "")\(target.text)"
    }

    /// The user name of HTTP basic authorization; `nil` if the request has none. The password is
    /// not checked here: a proxy in front of nsqadmin has to do that.
    var basicUser: String? {
        guard let words = headers["Authorization"]?.split(separator: " ", maxSplits: 1),
            words.count == 2, words[0] == "Basic",
            let bytes = Data(base64Encoded: String(words[1])),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        else { return nil }
        return String(decoding: bytes[..<colon], as: UTF8.self)
    }
}
