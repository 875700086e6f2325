import HTTP
import UVLoop

/// An authorization server for nsqd that grants everything to one secret.
final class AuthorizationService: HTTPService, LoopHosted {
    private let secret: String
    private let loop: Loop
    private lazy var server = HTTPServer(serving: self, on: loop)

    private init(granting secret: String, on loop: Loop) {
        self.secret = secret
        self.loop = loop
    }

    /// Starts a server on a free port, which ends when its host is stopped.
    ///
    /// - Returns: the host, and the address of the server.
    static func start(
        granting secret: String
    ) async throws -> (host: LoopHost<AuthorizationService>, address: String) {
        let (host, address) = try await LoopHost.start(threadName: "auth") { loop in
            let service = AuthorizationService(granting: secret, on: loop)
            let address = try service.server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            return (service, address.description)
        }
        return (host, address)
    }

    func stop(_ done: @escaping () -> Void) { server.stop(done) }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan { .skip }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        let isGranted = HTTPQuery(parsing: request.target.query)?["secret"] == secret
        let grant =
            #"{"ttl":60,"authorizations":[{"topic":".*","channels":[".*"],"permissions":"#
            + #"["publish","subscribe"]}]}"#
        let refusal = #"{"ttl":60,"authorizations":[]}"#
        respond(HTTPResponse(status: 200, body: Array((isGranted ? grant : refusal).utf8)))
    }
}
